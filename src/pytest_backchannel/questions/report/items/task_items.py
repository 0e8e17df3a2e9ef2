"""Tasks and the entries of the beat schedule, and what is asked of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....inventory.celery_inventory import BeatEntry, KnownTask
from ..model import Facet, Item
from .done import Done, Known, facet, notes_of

WAYS = ("function", "errback", "eager", "stepped", "thread", "real")
"""The ways in which a body can be run."""

# The options that a reader wants to see: what Celery's own defaults are says nothing.
_SHOWN = (
    "acks_late",
    "autoretries",
    "max_retries",
    "ignore_result",
    "reject_on_worker_lost",
    "expires",
    "rate_limit",
    "soft_time_limit",
    "time_limit",
    "retry_backoff",
    "default_retry_delay",
    "serializer",
    "priority",
)


def task_items(known: Known, done: Done) -> Iterator[Item]:
    """The project's own tasks: those of Celery and of installed packages are somebody else's to test."""
    if known.celery is None:
        return
    for task in known.celery.tasks.values():
        if is_of_project(task):
            yield _task_item(task, known, done)


def is_of_project(task: KnownTask) -> bool:
    """Whether a task stands in the project's code."""
    installed = "site-packages" in task.file or "dist-packages" in task.file
    return bool(task.file) and not task.name.startswith("celery.") and not installed


def title_of(task: str) -> str:
    """The name of a task without its module."""
    return task.rpartition(".")[2]


def _task_item(task: KnownTask, known: Known, done: Done) -> Item:
    return Item(
        key=f"task:{task.name}",
        kind="task",
        title=title_of(task.name),
        where=known.place(task.file, task.line),
        about={
            "name": task.name,
            "queue": task.queue,
            "options": {name: task.options[name] for name in _SHOWN if name in task.options},
            "hooks": list(task.hooks),
            "base": task.base,
            "bound": task.bound,
            "parameters": list(task.parameters),
        },
        facets=dict(_facets(task, f"task:{task.name}", known, done)),
    )


def _facets(task: KnownTask, subject: str, known: Known, done: Done) -> Iterator[tuple[str, Facet]]:
    def tests(*whats: str) -> set[str]:
        return done.tests(subject, *whats)

    options = task.options
    yield facet("run", tests(*WAYS), wanted=True)
    yield facet("as_task", tests(*WAYS[1:]), wanted=True)
    yield facet("succeeded", tests("succeeded"), wanted=True)
    yield facet("failed", tests("failed"))
    why = _why_retries(task)
    yield facet("retried", tests("retried"), wanted=bool(why), why=why)
    limit = options.get("max_retries")
    yield facet("exhausted", tests("exhausted"), wanted=bool(why) and limit is not None, why=f"max_retries is {limit}")
    expiry = _why_expires(task, known)
    yield facet("expired", tests("expired"), wanted=bool(expiry), why=expiry)
    yield facet("rejected", tests("rejected"), wanted=task.own_reject, why="its code names Reject")
    yield facet("twice", tests("twice"), wanted=bool(options.get("acks_late")), why="acks_late is set")
    yield facet("killed", tests("killed"))
    for hook in task.hooks:
        yield facet(f"hook:{hook}", tests(f"hook:{hook}"), wanted=True, why="it is overridden")
    yield facet("enqueued", tests("enqueued"))
    for way in WAYS:
        yield facet(way, tests(way))
    yield facet("mocked", tests("mocked", "replaced"))
    yield from _mock_fits(subject, done)


def _mock_fits(subject: str, done: Done) -> Iterator[tuple[str, Facet]]:
    """Asked only where a mock was called: each recorded call has to be one that could be made."""
    mocked, misfits = done.tests(subject, "mocked"), done.details(subject, "misfit")
    if mocked:
        fitting: set[str] = set() if misfits else mocked
        yield facet("mock_fits", fitting, wanted=True, why="a mock accepts every call", notes=notes_of(misfits))


def _why_retries(task: KnownTask) -> str:
    if task.options.get("autoretries"):
        return "autoretry_for is set"
    return "its code calls retry" if task.own_retry and task.bound else ""


def _why_expires(task: KnownTask, known: Known) -> str:
    if task.options.get("expires") is not None:
        return "expires is set"
    entries: Mapping[str, BeatEntry] = known.celery.beat if known.celery is not None else {}
    named = [entry.name for entry in entries.values() if entry.task == task.name and entry.expires is not None]
    return f"the beat entry {named[0]!r} sets expires" if named else ""


# ------------------------------------------------------------------- the schedule


def beat_items(known: Known, done: Done) -> Iterator[Item]:
    """The entries of the beat schedule in the settings; what is wrong with one is told of the task."""
    for entry in (known.celery.beat if known.celery is not None else {}).values():
        about: dict[str, Any] = {"task": entry.task, "schedule": entry.schedule, "queue": entry.queue}
        yield Item(
            key=f"beat:{entry.name}",
            kind="beat",
            title=entry.name,
            about=about,
            facets=dict([facet("task_run", done.tests(f"task:{entry.task}", *WAYS))]),
        )
