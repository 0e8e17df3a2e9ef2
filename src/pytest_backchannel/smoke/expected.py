"""What the code says should be there: the queue of every task and of every beat entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Expected:
    """One task that something will enqueue.

    Attributes:
        task: its name.
        queue: where it goes; empty where the routing does not say.
        beat: the name of the beat entry that enqueues it; empty for a task of the code.
    """

    task: str
    queue: str
    beat: str = ""


def expected_tasks(app: Any) -> list[Expected]:
    """Every task of the project's code, and every beat entry, with the queue that it is routed to.

    Celery's own tasks (``celery.*``) are left out. Routing is Celery's: the options of the task, ``task_routes``,
    ``task_default_queue`` (celery/app/task.py and celery/app/routes.py, 5.5–5.7).

    Args:
        app: the project's Celery app, its tasks loaded.
    """
    found = [
        Expected(name, _queue(app, name, _options(task)))
        for name, task in sorted(app.tasks.items())
        if not name.startswith("celery.")
    ]
    for entry, values in sorted((app.conf.beat_schedule or {}).items()):
        name = values.get("task", "") if isinstance(values, Mapping) else getattr(values, "task", "")
        options = values.get("options") if isinstance(values, Mapping) else getattr(values, "options", None)
        task = app.tasks.get(name)
        merged = {**(_options(task) if task is not None else {}), **(options or {})}
        found.append(Expected(str(name), _queue(app, str(name), merged), beat=str(entry)))
    return found


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
