"""The Mocks that a patch puts in the place of what enqueues a task."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any
from unittest.mock import NonCallableMock

LIKE_THE_TASK = ("delay", "delay_on_commit")
"""The methods that take the arguments of the task."""
WITH_OPTIONS = ("apply_async", "apply_async_on_commit")
"""Those that take them as two arguments, and options."""
ENQUEUING = (*LIKE_THE_TASK, *WITH_OPTIONS)
"""The methods of a task that enqueue it."""


def enqueuing_mocks(
    target: Any, attribute: str, stands_there: Any, original: Any
) -> Iterator[tuple[Any, str, NonCallableMock]]:
    """The Mocks of one patch that stand for a method of a task which enqueues it.

    Args:
        target: whose attribute is replaced.
        attribute: its name.
        stands_there: what stands there.
        original: what stood there before.

    Yields:
        The task, the name of the method, and the Mock.
    """
    if isinstance(stands_there, FunctionType):
        stands_there = getattr(stands_there, "mock", stands_there)  # of autospec=True: a function that has its Mock
    if not isinstance(stands_there, NonCallableMock):
        return
    if (task := task_of(target)) is not None:
        if attribute in ENQUEUING:
            yield task, attribute, stands_there
    elif (task := task_of(original)) is not None:
        for method in ENQUEUING:
            child = vars(stands_there).get("_mock_children", {}).get(method)
            if isinstance(child, NonCallableMock):
                yield task, method, child


def task_of(value: Any) -> Any:
    """The task that a value is, or stands for; None for what is none.

    Args:
        value: what is looked at.
    """
    from celery.app.task import Task

    try:
        return value if isinstance(value, Task) and not isinstance(value, NonCallableMock) and value.name else None
    except Exception:  # a lazy object of the project's that can't be looked at here
        return None
