"""Calls of Mocks in the place of a task, or of one of its methods that enqueue: what the code would have sent."""

from __future__ import annotations

from typing import Any

from ... import ended_patches
from ...mocked_enqueues import LIKE_THE_TASK, enqueuing_mocks
from .noted import noting
from .sent_tasks import note_call


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
    for task, method, stand_in in enqueuing_mocks(target, attribute, stands_there, original):
        _note(task, method, stand_in)


def _note(task: Any, method: str, stands_there: Any) -> None:
    for call in getattr(stands_there, "call_args_list", ()):
        if method in LIKE_THE_TASK:
            note_call(task, tuple(call.args), dict(call.kwargs), {})
        else:
            given: dict[str, Any] = dict(zip(("args", "kwargs"), call.args, strict=False)) | dict(call.kwargs)
            args, kwargs = given.pop("args", None), given.pop("kwargs", None)
            if isinstance(args, list | tuple | None) and isinstance(kwargs, dict | None):
                note_call(task, tuple(args or ()), dict(kwargs or {}), given)
