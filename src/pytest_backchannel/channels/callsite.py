"""Which line of the project called a coroutine method, also through ``async_to_sync``."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from ..events import Location, caller, is_project_file

# --- private API: asgiref.sync.AsyncToSync.__call__ and main_wrap and their local variable call_result, seen on asgiref
# 3.8–3.13: up to asgiref 3.8, async_to_sync calls the wrapped method in the loop's thread, where no frame of the
# project is on the stack; the thread that waits for the result has them ---


def call_site() -> Location | None:
    """The project's own line that called the function which calls this; None where there is none."""
    found = caller(2)
    if found is not None:
        return found
    result = _result_of(sys._getframe(1))
    if result is None:
        return None
    for frame in list(sys._current_frames().values()):
        waiting: FrameType | None = frame
        while waiting is not None:
            if waiting.f_code.co_name == "__call__" and waiting.f_locals.get("call_result") is result:
                return _project_frame(waiting)
            waiting = waiting.f_back
    return None


def _result_of(frame: FrameType | None) -> Any:
    """The future that ``AsyncToSync.main_wrap`` fills, where it is what called."""
    while frame is not None:
        if frame.f_code.co_name == "main_wrap" and frame.f_globals.get("__name__") == "asgiref.sync":
            return frame.f_locals.get("call_result")
        frame = frame.f_back
    return None


# --- end of private API ---


def _project_frame(frame: FrameType | None) -> Location | None:
    while frame is not None:
        if is_project_file(frame.f_code.co_filename):
            return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        frame = frame.f_back
    return None
