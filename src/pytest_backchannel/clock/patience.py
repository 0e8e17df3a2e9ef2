"""How long to wait on an event loop whose own clock may be stopped.

freezegun stops the clock of the event loop too, unless it is told not to (``real_asyncio=True``). Then no timer comes
due, and so no time-out. What waits for a consumer waits by real time there.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .virtual import active_clock, is_frozen

#: What a failure adds, where freezegun has stopped the loop's clock.
STOPPED = (
    "freezegun has stopped the clock of the event loop: no sleep and no time-out on it ever ends. Fix: "
    "freeze_time(..., real_asyncio=True), or time_machine.travel(...), which leaves event loops alone"
)


class Cancellable(Protocol):
    """A timer."""

    def cancel(self) -> object:
        """Let it not come due."""


def is_stopped(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop's clock stands still, and nobody moves it as the loop waits.

    Args:
        loop: the event loop.
    """
    if not is_frozen() or active_clock() is not None:
        return False
    before, moment = loop.time(), _real()
    while _real() == moment:  # the real clock has gone on
        pass
    return loop.time() == before


def now(loop: asyncio.AbstractEventLoop) -> float:
    """A moment, in seconds: the loop's own, or the real one where that is stopped.

    Args:
        loop: the event loop.
    """
    return _real() if is_stopped(loop) else loop.time()


def call_at(loop: asyncio.AbstractEventLoop, moment: float, callback: Callable[..., object], *args: Any) -> Cancellable:
    """Call a function on the loop at a moment, also where its clock is stopped.

    Args:
        loop: the event loop.
        moment: when, by :func:`now`.
        callback: the function.
        args: its arguments.

    Returns:
        What cancels it.
    """
    if not is_stopped(loop):
        return loop.call_at(moment, callback, *args)
    timer = threading.Timer(moment - _real(), _call_in, (loop, callback, args))
    timer.daemon = True
    timer.start()
    return timer


async def wait(
    futures: Iterable[asyncio.Future[Any]], timeout: float, return_when: str = asyncio.ALL_COMPLETED
) -> None:
    """The same as ``asyncio.wait``, also where the loop's clock is stopped.

    Args:
        futures: what to wait for; at least one.
        timeout: no longer than this, in seconds.
        return_when: as for ``asyncio.wait``.
    """
    loop = asyncio.get_running_loop()
    if not is_stopped(loop):
        await asyncio.wait(futures, timeout=timeout, return_when=return_when)
        return
    over: asyncio.Future[None] = loop.create_future()
    timer = call_at(loop, now(loop) + timeout, _end, over)
    waiting: asyncio.Future[Any] = asyncio.ensure_future(asyncio.wait(futures, return_when=return_when))
    ends: list[asyncio.Future[Any]] = [waiting, over]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        waiting.cancel()
        over.cancel()


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, *args)


def _end(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


# --- private API: freezegun.api.real_monotonic, seen on freezegun 1.5: what it has replaced. is_stopped() has asked
# --- whether freezegun is there.


def _real() -> float:
    moment: float = sys.modules["freezegun.api"].real_monotonic()
    return moment


# --- end of private API
