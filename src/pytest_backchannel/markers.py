"""The markers: declared, and their arguments checked, with a clear error for each bad value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .errors import SLUGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARKERS = (
    "celery_integration: needs a real broker and a real worker; for the slower job of the CI.",
    "allow_lost(slug, ...): what is lost or breaks under these slugs is intended in this test.",
    "allow_audit(task, ..., reason): what the audit finds about these tasks in this test is intended.",
    "task_queue(profile, visibility_timeout, queues, workers, order, seed, redeliver_all, broker): how the broker "
    "and the workers of task_queue behave in this test; broker=['stepped', 'redis', 'rabbitmq'] runs it against each.",
)

PROFILES = ("redis", "rabbitmq")
BROKERS = ("stepped", "redis", "rabbitmq")
ORDERS = ("fifo", "random")


def marked(items: Iterable[pytest.Item], name: str) -> list[pytest.Item]:
    """The items with a marker: what ``iter_markers`` says of each, but a class or module is looked at once."""
    known: dict[pytest.Collector | pytest.Item, bool] = {}

    def has(node: Any) -> bool:
        if any(marker.name == name for marker in node.own_markers):
            return True
        parent = node.parent
        if parent is None:
            return False
        if parent not in known:
            known[parent] = has(parent)
        return known[parent]

    return [item for item in items if has(item)]


def wrong_markers(items: Iterable[pytest.Item], *, task_queue: bool = True) -> dict[pytest.Item, str]:
    """What is wrong with the markers of each test: the text with which it fails, by its item.

    Args:
        items: the tests.
        task_queue: whether the marker of this name is ours.
    """
    wrong: dict[pytest.Item, str] = {}
    checks = {
        "allow_lost": _check_allow_lost,
        "allow_audit": allowed_audits,
        **({"task_queue": queue_arguments} if task_queue else {}),
    }
    for name, check in checks.items():
        for item in marked(items, name):
            try:
                check(item)
            except pytest.UsageError as error:
                wrong.setdefault(item, str(error))
    return wrong


# ------------------------------------------------------------------ allow_lost


def _check_allow_lost(item: pytest.Item) -> None:
    for marker in item.iter_markers("allow_lost"):
        unknown = [slug for slug in marker.args if slug not in SLUGS]
        if unknown or not marker.args or marker.kwargs:
            raise pytest.UsageError(
                f"{item.nodeid}: allow_lost takes one or more slugs"
                + (f", and {unknown[0]!r} is none" if unknown else "")
                + f"; choose from {', '.join(sorted(SLUGS))}"
            )


def allowed_slugs(item: pytest.Item) -> set[str]:
    """The slugs under which a loss is intended in this test."""
    return {slug for marker in item.iter_markers("allow_lost") for slug in marker.args}


# ----------------------------------------------------------------- allow_audit


def allowed_audits(item: pytest.Item) -> dict[str, str]:
    """Why what the audit finds in this test is intended, by the name of the task, or a pattern of it.

    Raises:
        pytest.UsageError: there is no task or no reason.
    """
    found: dict[str, str] = {}
    for marker in item.iter_markers("allow_audit"):
        reason = marker.kwargs.get("reason")
        names = all(isinstance(task, str) and task for task in marker.args) and marker.args
        if not names or set(marker.kwargs) != {"reason"} or not isinstance(reason, str) or not reason.strip():
            raise pytest.UsageError(
                f"{item.nodeid}: allow_audit takes the names of tasks, or patterns of them, and reason=, such as "
                "allow_audit('shop.tasks.ping', reason='one mail more does no harm')"
            )
        for task in marker.args:
            found.setdefault(task, reason)
    return found


# ------------------------------------------------------------------ task_queue


def queue_arguments(item: pytest.Item) -> dict[str, Any]:
    """The arguments of ``@pytest.mark.task_queue``: what is nearer to the test wins, one by one.

    Raises:
        pytest.UsageError: one can't be used; the message says which, and what can.
    """
    arguments: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("task_queue"))):
        if marker.args:
            raise pytest.UsageError(
                f"{item.nodeid}: task_queue takes keyword arguments alone, such as profile='redis'; got "
                f"{marker.args[0]!r}"
            )
        for name, value in marker.kwargs.items():
            check = _CHECKS.get(name)
            if check is None:
                raise pytest.UsageError(
                    f"{item.nodeid}: task_queue has no argument {name!r}; choose from {', '.join(sorted(_CHECKS))}"
                )
            problem = check(value)
            if problem:
                raise pytest.UsageError(f"{item.nodeid}: task_queue({name}={value!r}): {problem}")
            arguments[name] = value
    if {"queues", "workers"} <= set(arguments):
        raise pytest.UsageError(
            f"{item.nodeid}: task_queue: queues= is for the one worker, and workers= names several: give one of them"
        )
    if "visibility_timeout" in arguments and arguments.get("profile", "redis") != "redis":
        raise pytest.UsageError(
            f"{item.nodeid}: task_queue: visibility_timeout= is for profile='redis'; RabbitMQ requeues when the "
            "connection is lost"
        )
    return arguments


def _one_of(*choices: str) -> Any:
    return lambda value: "" if value in choices else f"choose one of {', '.join(map(repr, choices))}"


def _brokers(value: object) -> str:
    wanted = value if isinstance(value, list | tuple) and value else [value]
    good = all(broker in BROKERS for broker in wanted) and len(set(map(str, wanted))) == len(wanted)
    return "" if good else f"choose one of {', '.join(map(repr, BROKERS))}, or give a list of them"


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "give True or False"


def _seconds(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and 0 < value < float("inf") else "give a number of seconds above 0"  # type: ignore[operator]


def _number(value: object) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) else "give a whole number"


def _names(value: object) -> str:
    good = isinstance(value, list | tuple) and value and all(isinstance(name, str) and name for name in value)
    return "" if good else "give a list of the names of queues, such as ['celery']"


def _worker_names(value: object) -> str:
    good = isinstance(value, dict) and value and all(isinstance(name, str) and name for name in value)
    if not good or any(_names(queues) for queues in value.values()):  # type: ignore[attr-defined]
        return "give the queues of each worker, such as {'fast': ['default'], 'slow': ['reports']}"
    return ""


def _setup(value: object) -> str:
    good = callable(value) or (isinstance(value, str) and all(value.partition(":")))
    return "" if good else "give a function, or where it is, such as 'tests.support.worker:fake_carrier'"


_CHECKS: Mapping[str, Any] = {
    "broker": _brokers,
    "order": _one_of(*ORDERS),
    "profile": _one_of(*PROFILES),
    "queues": _names,
    "redeliver_all": _flag,
    "seed": _number,
    "setup": _setup,
    "visibility_timeout": _seconds,
    "workers": _worker_names,
}
