"""What the code says should be there: the queue of every task and of every beat entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Expected:
    """One task that something will enqueue.

    Attributes:
        task: its name.
        queue: where it goes; empty where the routing does not say.
        beat: the name of the beat entry that enqueues it; empty for a task of the code.
        problem: why the routing itself fails, in the words of Celery; empty where it does not.
    """

    task: str
    queue: str
    beat: str = ""
    problem: str = ""


@dataclass(frozen=True)
class StoredEntry:
    """A beat entry that is kept elsewhere than in the settings.

    Attributes:
        name: the entry's.
        task: what it enqueues.
        options: how: ``queue``, ``exchange`` and ``routing_key``, where it says so.
    """

    name: str
    task: str
    options: Mapping[str, str]


def expected_tasks(app: Any, stored: Iterable[StoredEntry] = ()) -> list[Expected]:
    """Every task of the project's code, and every beat entry, with the queue that it is routed to.

    Celery's own tasks (``celery.*``) are left out. Routing is Celery's: the options of the task, ``task_routes``,
    ``task_default_queue`` (celery/app/task.py and celery/app/routes.py, 5.5–5.7).

    Args:
        app: the project's Celery app, its tasks loaded.
        stored: the beat entries of a database; one that the settings have too counts once, as the database has it.
    """
    found = [
        _expected(app, name, _options(task))
        for name, task in sorted(app.tasks.items())
        if not name.startswith("celery.")
    ]
    entries: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for entry, values in (app.conf.beat_schedule or {}).items():
        name = values.get("task", "") if isinstance(values, Mapping) else getattr(values, "task", "")
        options = values.get("options") if isinstance(values, Mapping) else getattr(values, "options", None)
        entries[str(entry)] = str(name), options or {}
    entries |= {entry.name: (entry.task, entry.options) for entry in stored}
    for entry, (name, options) in sorted(entries.items()):
        task = app.tasks.get(name)
        merged = {**(_options(task) if task is not None else {}), **options}
        found.append(_expected(app, name, merged, beat=entry))
    return found


def _expected(app: Any, name: str, options: Mapping[str, Any], beat: str = "") -> Expected:
    try:
        return Expected(name, _queue(app, name, options), beat)
    except Exception as error:  # a queue that is not declared, a router that breaks
        return Expected(name, "", beat, f"{type(error).__name__}: {error}")


def _options(task: Any) -> dict[str, Any]:
    names = ("queue", "routing_key", "exchange")
    return {name: value for name in names if (value := getattr(task, name, None)) is not None}


def _queue(app: Any, task: str, options: Mapping[str, Any]) -> str:
    route = app.amqp.router.route(dict(options), task)
    queue = route.get("queue")
    if queue is not None:
        return str(getattr(queue, "name", queue))
    exchange, key = route.get("exchange"), route.get("routing_key")
    for candidate in app.amqp.queues.values():
        if candidate.routing_key == key and exchange in (None, candidate.exchange.name, candidate.exchange):
            return str(candidate.name)
    return ""
