"""The settings that Celery writes into each task when it binds it to an app: read once, and not when they are used.

A worker is a fork of a process in which the tasks are bound already. What the settings of that worker alone say
(``task_acks_late``, ``task_time_limit`` and their like) has to be written into the tasks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# ---------------------------------------------------------- private API of Celery
# Task.from_config and Task.bind (celery/app/task.py, 5.5–5.7): bind() takes from the settings what a task leaves None.

_left_open: dict[type, list[tuple[str, str]]] = {}


def remember_what_tasks_leave_open() -> None:
    """From now on, know of each task which attributes it leaves to the settings; afterwards nothing tells any more."""
    from celery.app.task import Task

    task: Any = Task
    bind = task.bind.__func__

    def remembering(cls: Any, app: Any) -> Any:
        # A task is bound more than once.
        _left_open.setdefault(cls, [(name, key) for name, key in cls.from_config if getattr(cls, name, None) is None])
        return bind(cls, app)

    task.bind = classmethod(remembering)


def rebind(app: Any, conf: Mapping[str, Any]) -> None:
    """Write settings into the tasks that leave them open.

    Args:
        app: the project's app, which has the settings already.
        conf: those that are of this worker alone, by their lower-case names.
    """
    # Since 5.7 bind() makes two attributes of this one.
    both = conf.get("task_acks_on_failure_or_timeout")
    for task in app.tasks.values():
        cls = type(task)
        for name, key in _left_open.get(cls, ()):
            if key in conf:
                setattr(cls, name, conf[key])
            elif both is not None and name in ("acks_on_failure", "acks_on_timeout") and app.conf[key] is None:
                setattr(cls, name, both)
        cls._exec_options = None  # a cache of some of them
