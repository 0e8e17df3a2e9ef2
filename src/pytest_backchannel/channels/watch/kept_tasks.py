"""Whether anybody keeps a task that a consumer has made: the event loop itself holds tasks by weak references only."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import ref

from ...events import OWN_FOLDER, Location, is_project_file

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep


def made_at() -> Location | None:
    """The line of the project's own code that makes a task now; None where a library makes it, and so answers for it.

    To be called by a task factory.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_ASYNCIO, OWN_FOLDER)):
        frame = frame.f_back
    if frame is None or not is_project_file(frame.f_code.co_filename):
        return None
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


# --- private API: asyncio.Task._fut_waiter, and how CPython's loop refers to a task that is not running, seen on Python
# 3.11–3.14: once, by what will resume it, which is in the queue of what is ready or among the callbacks of the future
# that the task waits for. Since 3.14 that future also names who awaits it ---


def is_kept(task: ref[asyncio.Task[Any]]) -> bool:
    """Whether somebody but the event loop has a reference to a task that waits; True where that can't be said.

    Only counted, not looked for: who has references is a search through all objects of the process.

    Args:
        task: a weak reference to it; the task is not the one that runs now.
    """
    found = task()
    if found is None or found.done() or found.cancelling():
        return True  # it has nothing left to do that could be lost
    waiter = getattr(found, "_fut_waiter", None)
    resumed_by = 1 + (gc.get_referents(waiter).count(found) if waiter is not None else 0)
    del found
    return _references(task) - _references(_Plain) != resumed_by


class _Plain:
    """What nobody but its maker refers to."""


def _references(get: Callable[[], Any]) -> int:
    found = get()
    return sys.getrefcount(found)


# --- end of private API ---
