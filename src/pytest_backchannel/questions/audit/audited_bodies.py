"""Stands around the body of each task of the process, wherever it is called: eagerly, as a function, in a worker."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ...active import tracked
from ..report.seen.bodies import Bodies
from .shadows import told_parent

#: Called with the task, its body and the arguments, in the place of the body.
Around = Callable[[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


class AuditedBodies(Bodies):
    """All tasks of the process, from ``install()`` to ``remove()``; those that are made later, too.

    Args:
        around: what to call in the place of a body.
    """

    hooks = ()

    def __init__(self, around: Around) -> None:
        super().__init__()
        self._around = around
        self.tasks: dict[str, Any] = {}

    def watched(self, task: Any, before: Callable[..., Any]) -> Callable[..., Any]:
        """What stands in the place of a task's body."""
        self.tasks[task.name] = task
        if inspect.iscoroutinefunction(before):
            return before  # Celery runs none of it
        around = self._around

        @functools.wraps(before)
        def run(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if told_parent.is_shadow():
                return before(*args, **kwargs)
            return around(task, before, args, kwargs)

        return run


_bodies: list[AuditedBodies] = tracked("bodies of tasks for the audit", [], of_the_run=True)


def install(around: Around) -> AuditedBodies:
    """Stand around the tasks of this process from now on; Celery is loaded."""
    _bodies.append(AuditedBodies(around))
    _bodies[-1].install()
    return _bodies[-1]


def remove() -> None:
    """Stand around them no more."""
    _bodies.pop().remove()
