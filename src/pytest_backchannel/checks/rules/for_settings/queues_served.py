"""BC6xx: queues that are sent to, and that no worker consumes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from ....source import Place
from ....source.reading.source_file import literal, text_of
from ....source.reading.surroundings import last_name
from ...checked_file import is_test
from ...checked_tree import CheckedTree
from ...pytest_configuration import words_of
from ...rule import Found, TreeRule
from ..quantities import parsed


class UnservedQueue(TreeRule):
    """BC607."""

    code = "BC607"
    name = "unserved-queue"
    severity: ClassVar = "error"
    summary = "Messages go to a queue that no worker consumes."
    why = "Celery makes the queue where it is sent to, and the messages stay in it: nothing fails, and nothing runs."
    fix = "The right name; or a worker with `-Q` for it, and its name in `CELERY_TASK_QUEUES`."
    path = "shop/tasks.py"
    page = "reference/production-settings.md"
    finding = "unserved_route"
    wrong = """
from celery import shared_task
from kombu import Queue

CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [Queue("default"), Queue("mail")]
CELERY_TASK_ROUTES = {"shop.tasks.send": {"queue": "mails"}}


@shared_task
def send(pk): ...
"""
    right = wrong.replace('"mails"', '"mail"')

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where the project says what its workers consume, literally, and nothing that deploys it names the queue."""
        served = _served(tree)
        if served is None:
            return
        told: set[str] = set()
        for queue, place in _sent_to(tree):
            known = queue in served or queue in told or re.search(rf"[\w-]*\b{re.escape(queue)}\b", _workers(tree))
            if not known and not is_test(place.path):
                told.add(queue)
                yield place, f"no worker consumes {queue!r}: the project names {', '.join(sorted(served))}"


def _workers(tree: CheckedTree) -> str:
    """What starts workers: the lines of it that choose queues."""
    lines = tree.project.deployment.splitlines()
    return "\n".join(line for line in lines if re.search(r"-Q\b|--queues|QUEUE", line))


def _served(tree: CheckedTree) -> set[str] | None:
    """The queues that workers consume, as the project says; None where it does not say, or in its own way."""
    named = set(words_of(tree.configuration, "backchannel_worker_queues"))
    if named:
        return named
    declared = tree.settings("task_queues", "queues")
    if not declared:
        return None
    found: set[str] = set()
    for setting in declared:
        names = _declared(parsed(setting.source))
        if names is None:
            return None
        found |= names
    default = tree.settings("task_default_queue", "default_queue")
    if any(not isinstance(one.value, str) for one in default) or tree.settings("task_create_missing_queues"):
        return None
    return found | {str(one.value) for one in default} or None


def _declared(node: ast.expr | None) -> set[str] | None:
    """The names in a list of ``Queue("mail")`` or a dictionary; None where they are not all written out."""
    if isinstance(node, ast.Dict):
        names = [text_of(key) for key in node.keys]
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        names = [_name_of(one) for one in node.elts]
    else:
        return None
    return None if None in names else {name for name in names if name is not None}


def _name_of(node: ast.expr) -> str | None:
    if not isinstance(node, ast.Call) or last_name(node.func) != "Queue":
        return None
    named = next((one.value for one in node.keywords if one.arg == "name"), None)
    return text_of(node.args[0] if node.args else named)


def _sent_to(tree: CheckedTree) -> Iterator[tuple[str, Place]]:
    for setting in tree.settings("task_routes", "routes"):
        for route in setting.value.values() if isinstance(setting.value, Mapping) else ():
            queue = route.get("queue") if isinstance(route, Mapping) else route
            if isinstance(queue, str):
                yield queue, setting.place
    for task in tree.index.tasks.values():
        if isinstance(queue := task.options.get("queue"), str):
            yield queue, task.place
    options = [(one.arguments.options, one.place) for one in tree.index.enqueues]
    options += [(one.arguments.options, one.place) for one in tree.index.beat]
    for given, place in options:
        queue = literal(parsed(given["queue"]))[1] if "queue" in given else None
        if isinstance(queue, str):
            yield queue, place
