"""Finding what blocks the event loop: a synchronous call in async code, with the project's own line.

blockbuster does the finding: it wraps the functions of the standard library that block, and knows when an event loop
runs in the calling thread. It was chosen over pyleak, which measures pauses against a threshold and so depends on the
machine's load, and over aiocop, whose audit hook can't be taken out of the process again. Here is added what it can't
know: Django's cursors, whatever the database; which line is the project's; and that a call is reported and goes on,
so that one run finds them all.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ...events import EventLog, Location, is_project_file

# What these do on behalf of a line of the project is not the project's blocking: they log, import, and show failures,
# or are the event loop's own means.
_INNOCENT = (
    "_pytest",
    "asyncio",
    "concurrent",
    "coverage",
    "importlib",
    "linecache",
    "logging",
    "pluggy",
    "pytest_backchannel",
    "selectors",
    "traceback",
    "warnings",
)

_ADVICE = (
    ("time.sleep", "await asyncio.sleep(...)"),
    ("CursorWrapper.", "use the async ORM (aget, acreate, async for), or database_sync_to_async"),
    ("sqlite3.", "call it through asyncio.to_thread"),
    ("socket.", "use an async client, or call it through asyncio.to_thread"),
    ("ssl.", "use an async client, or call it through asyncio.to_thread"),
)


@dataclass(frozen=True)
class _Watch:
    log: EventLog
    fails: bool
    seen: set[tuple[str, Location]]

    def found(self, name: str, where: Location) -> None:
        if (name, where) in self.seen:
            return
        self.seen.add((name, where))
        advice = next((text for start, text in _ADVICE if name.startswith(start)), "call it through asyncio.to_thread")
        self.log.problem(
            "blocked_loop",
            f"{name} was called in async code: until it returns, every consumer of the process waits; {advice}",
            where=where,
            decided=self.fails,
        )


@contextlib.contextmanager
def watching_the_loop(log: EventLog, *, fails: bool) -> Generator[None]:
    """Within the block, enter into ``log`` each call of the project that blocks a running event loop.

    Args:
        log: the log of the test.
        fails: whether such a call fails the test, or warns.

    Raises:
        ImportError: blockbuster is not installed.
    """
    blockbuster = _blockbuster(_Watch(log, fails, set()))
    blockbuster.activate()
    try:
        yield
    finally:
        blockbuster.deactivate()


# --- blockbuster's attributes can_block_predicate and can_block_functions, seen on blockbuster 1.5: by the predicate it
# asks whether one call may block, and so tells of each ---


def _blockbuster(watch: _Watch) -> Any:
    from blockbuster import BlockBuster, BlockBusterFunction

    # Made for each test: it takes what is there now as the original, which may be the virtual clock's time.sleep.
    blockbuster: Any = BlockBuster()
    cursors: Any = sys.modules.get("django.db.backends.utils")
    if cursors is not None:
        for method in ("execute", "executemany", "callproc"):
            name = f"CursorWrapper.{method}"
            blockbuster.functions[name] = BlockBusterFunction(cursors.CursorWrapper, method)
    for name, function in blockbuster.functions.items():
        function.can_block_predicate = _reporting(name, function, watch)
    return blockbuster


def _reporting(name: str, function: Any, watch: _Watch) -> Callable[..., bool]:
    may_block = function.can_block_predicate
    allowed = function.can_block_functions

    def predicate(*args: Any, **kwargs: Any) -> bool:
        if not may_block(*args, **kwargs):
            where = _blamed(sys._getframe(2), allowed)
            if where is not None:
                watch.found(name, where)
        return True

    return predicate


# --- end ---


def _blamed(frame: FrameType | None, allowed: Any) -> Location | None:
    """The line of the project that blocks; None where the call is not its doing."""
    while frame is not None:
        code = frame.f_code
        if is_project_file(code.co_filename):
            return Location(code.co_filename, frame.f_lineno, code.co_qualname)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _INNOCENT:
            return None
        file = code.co_filename.replace("\\", "/")
        if any(file.endswith(name) and code.co_name in functions for name, functions in allowed):
            return None
        frame = frame.f_back
    return None
