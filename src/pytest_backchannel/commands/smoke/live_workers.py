"""The live workers: which queues they consume, which tasks they know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any


@dataclass
class LiveWorker:
    """A worker that has answered.

    Attributes:
        name: its node name.
        queues: what it consumes.
        tasks: what it knows; None where it has not said.
    """

    name: str
    queues: frozenset[str] = frozenset()
    tasks: frozenset[str] | None = None


@dataclass
class Workers:
    """All workers that have answered, by name."""

    by_name: dict[str, LiveWorker] = field(default_factory=dict)

    def consuming(self, queue: str) -> list[LiveWorker]:
        """Those that consume a queue."""
        return [worker for worker in self.by_name.values() if queue in worker.queues]

    def complete(self, queues: Iterable[str]) -> bool:
        """Whether each queue has a worker, and each worker has said what it knows."""
        return all(self.consuming(queue) for queue in queues) and all(
            worker.tasks is not None for worker in self.by_name.values()
        )


def ask_workers(
    app: Any, queues: Iterable[str], timeout: float, sleep: Callable[[float], None] = time.sleep
) -> Workers:
    """Ask all workers by Celery's remote control, again and more patiently while something is missing.

    A healthy system answers within the first second; a busy one gets the whole time.

    Args:
        app: the project's Celery app.
        queues: those that need a worker.
        timeout: in seconds.
        sleep: how to wait between two attempts.
    """
    wanted = list(queues)
    found = Workers()
    deadline = time.monotonic() + timeout
    window = min(1.0, timeout)
    while True:
        with ThreadPoolExecutor(2) as threads:
            queues_of = threads.submit(_broadcast, app, "active_queues", window)
            tasks_of = threads.submit(_broadcast, app, "registered", window)
        for name, answer in queues_of.result():
            if isinstance(answer, list):
                worker = found.by_name.setdefault(name, LiveWorker(name))
                worker.queues = frozenset(queue["name"] for queue in answer)
        for name, answer in tasks_of.result():
            if isinstance(answer, list):
                # "name [rate_limit=…]" where the worker was asked for details; the name comes first.
                worker = found.by_name.setdefault(name, LiveWorker(name))
                worker.tasks = frozenset(task.partition(" ")[0] for task in answer)
        left = deadline - time.monotonic()
        if found.complete(wanted) and found.by_name or left < 0.5:
            return found
        sleep(min(0.2, left))
        window = min(window * 2, 4.0, max(left / 2, 0.3))


def _broadcast(app: Any, command: str, window: float) -> list[tuple[str, Any]]:
    replies = app.control.broadcast(command, reply=True, timeout=window) or []
    return [(str(name), answer) for reply in replies for name, answer in reply.items()]
