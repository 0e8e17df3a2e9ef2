"""Calls of Mocks in the place of a task, or of one of its methods that enqueue: what the code would have sent."""

from __future__ import annotations

from types import FunctionType
from typing import Any
from unittest.mock import NonCallableMock

from ... import ended_patches
from .noted import noting
from .sent_tasks import note_call

_LIKE_THE_TASK = ("delay", "delay_on_commit")
_WITH_OPTIONS = ("apply_async", "apply_async_on_commit")


def install() -> None:
    """Look at patches from now on; Celery is loaded."""
    ended_patches.watch(look_at, noting)


def remove() -> None:
    """Look at them no more."""
    ended_patches.forget(look_at)


def look_at(target: Any, attribute: str, stands_there: Any, original: Any) -> None:
    """Note the calls of what stands in the place of a task, or of one of its methods.

    Args:
        target: whose attribute is replaced.
        attribute: its name.
        stands_there: what stands there; only a Mock tells what it was called with.
        original: what stood there before.
    """
    if isinstance(stands_there, FunctionType):
        stands_there = getattr(stands_there, "mock", stands_there)  # of autospec=True: a function that has its Mock
    if not isinstance(stands_there, NonCallableMock):
        return
    if (task := _task(target)) is not None:
        _note(task, attribute, stands_there)
    elif (task := _task(original)) is not None:
        for method in (*_LIKE_THE_TASK, *_WITH_OPTIONS):
            child = vars(stands_there).get("_mock_children", {}).get(method)
            if isinstance(child, NonCallableMock):
                _note(task, method, child)


def _task(value: Any) -> Any:
    from celery.app.task import Task

    try:
        return value if isinstance(value, Task) and not isinstance(value, NonCallableMock) and value.name else None
    except Exception:  # a lazy object of the project's that can't be looked at here
        return None


def _note(task: Any, method: str, stands_there: Any) -> None:
    for call in getattr(stands_there, "call_args_list", ()):
        if method in _LIKE_THE_TASK:
            note_call(task, tuple(call.args), dict(call.kwargs), {})
        elif method in _WITH_OPTIONS:
            given: dict[str, Any] = dict(zip(("args", "kwargs"), call.args, strict=False)) | dict(call.kwargs)
            args, kwargs = given.pop("args", None), given.pop("kwargs", None)
            if isinstance(args, list | tuple | None) and isinstance(kwargs, dict | None):
                note_call(task, tuple(args or ()), dict(kwargs or {}), given)
