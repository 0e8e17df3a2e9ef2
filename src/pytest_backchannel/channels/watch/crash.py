"""A consumer's exception as the test should see it: the consumer's own lines, and what it was doing."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Any

from ...events import OWN_FOLDER, is_project_file


def _entries(traceback: TracebackType | None) -> list[TracebackType]:
    found: list[TracebackType] = []
    while traceback is not None:
        found.append(traceback)
        traceback = traceback.tb_next
    return found


def own_traceback(error: BaseException) -> TracebackType | None:
    """The exception's traceback from where the consumer's own code begins.

    What lies above, the event loop, routers, and Channels' dispatch, is left out; all of it is kept where the exception
    came from none of the project's code. Our own frames at its end (the check of what may be sent) are left out too.
    """
    entries = _entries(error.__traceback__)
    # Behind the innermost dispatch is the handler; without one, the project's first frame: middleware, or a router.
    dispatch = max((at for at, entry in enumerate(entries) if _is_dispatch(entry)), default=-1)
    behind = entries[dispatch + 1 :]
    first = next((at for at, entry in enumerate(behind) if _is_project(entry)), None)
    kept = entries if first is None else behind[first:]
    while kept and _is_own(kept[0]):
        kept = kept[1:]
    while len(kept) > 1 and _is_own(kept[-1]):
        kept = kept[:-1]
    chain = None
    for entry in reversed(kept):
        chain = TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain


def _is_project(entry: TracebackType) -> bool:
    return is_project_file(entry.tb_frame.f_code.co_filename)


def _is_own(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_filename.startswith(OWN_FOLDER)


# --- private API: the name of the method that calls a handler, seen on channels 4.2–4.3; only reports depend on it ---


def _is_dispatch(entry: TracebackType) -> bool:
    code = entry.tb_frame.f_code
    return code.co_name == "dispatch" and code.co_filename.endswith(os.path.join("channels", "consumer.py"))


# --- end of private API ---


def is_crash(error: BaseException) -> bool:
    """Whether an exception that ends the current task is the code's own doing.

    It is not where somebody has cancelled the task, or the interpreter ends. What ``pytest.fail()`` raises is, though
    it is no ``Exception``; and so is a ``CancelledError`` of another task that was awaited.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return not isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


def cancelled_itself(name: str, handler: str | None) -> str:
    """A ``CancelledError`` ended a consumer that nobody had cancelled: what happened, and what to do."""
    where = f" in {handler}" if handler else ""
    return (
        f"a CancelledError ended {name}{where}, though nobody had cancelled it: it awaited something that is "
        "cancelled, and no line after that await has run. To await a task after its cancel(), use "
        "contextlib.suppress(asyncio.CancelledError)."
    )


def add_note_once(error: BaseException, note: str) -> None:
    """Add a note, unless the exception has it."""
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def summary(error: BaseException) -> str:
    """The exception in one line, as a traceback ends."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def short_traceback(error: BaseException, limit: int = 4) -> list[str]:
    """The innermost lines of the project's own code in an exception's traceback, a text line each."""
    found: list[Any] = [entry for entry in _entries(error.__traceback__) if _is_project(entry)]
    return [
        f"{os.path.relpath(entry.tb_frame.f_code.co_filename)}:{entry.tb_lineno} in {entry.tb_frame.f_code.co_qualname}"
        for entry in found[-limit:]
    ]
