"""asyncio's loops under a virtual clock.

``loop.time()`` stands still, and moves with the clock: a timer (``call_later``, ``asyncio.timeout``, ``wait_for``)
fires when the clock passes it. Where every task of a loop is blocked and one of them sleeps, the clock jumps to the
loop's earliest timer, so that sleepers and time outs fire in the order of their deadlines, as with the autojump clock
of trio.testing (https://trio.readthedocs.io/en/stable/reference-testing.html). Where nobody sleeps and only time outs
are left, it jumps too, if nothing from outside could end the wait.

While a thread works for the loop, or a socket that a time out watches is quiet, nobody can know whether something will
still come: then the loop waits for real, and its own timers run in real time meanwhile.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import math
import queue
import sys
import threading
import weakref
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Iterator
from typing import Any

from ..active import Slot

# Where a thread's innermost frame is when it waits for another thread: Python's files, and their functions. A thread
# that is only just starting has its innermost frame in threading.py too, and does not wait.
_WAITING_IN = frozenset(module.__file__ for module in (threading, queue, concurrent.futures.thread))
_WAITING_BY = frozenset(("__enter__", "_wait_for_tstate_lock", "acquire", "get", "join", "put", "wait"))
_WAITING_FOR_WORK = frozenset(("_worker",))

# How long a loop waits for real before it looks again whether it is idle, in seconds.
_SHORTEST_WAIT, _LONGEST_WAIT = 0.001, 0.05


class _Job:
    """A function that a thread runs for a loop."""

    def __init__(self) -> None:
        self.thread: int | None = None


class _State:
    """What a clock knows of one loop.

    Attributes:
        ahead: how far the loop's time is ahead of the clock, in seconds: what it has waited for real.
        sleepers: how many of its tasks sleep.
        jobs: what threads run for it now.
        thread: the thread that it runs in.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        self.sleepers = 0
        self.jobs: set[_Job] = set()
        self.thread = threading.get_ident()


class Loops:
    """Every asyncio loop of the process, put under one clock.

    Args:
        move: moves the clock forward by seconds.
        monotonic: the real ``time.monotonic``.
    """

    def __init__(self, move: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._move = move
        self._monotonic = monotonic
        self._time = monotonic()
        self._states: weakref.WeakKeyDictionary[BaseEventLoop, _State] = weakref.WeakKeyDictionary()
        # The threads themselves: a number is given again to a new thread, once its own has ended.
        self._threads = weakref.WeakSet(threading.enumerate())

    def passed(self, seconds: float) -> None:
        """The clock was moved: let the loops of other threads look at their timers."""
        self._time += seconds
        for loop, state in list(self._states.items()):
            if state.thread != threading.get_ident():
                with contextlib.suppress(RuntimeError):  # it was closed just now
                    loop.call_soon_threadsafe(_nothing)

    async def pass_time(self, seconds: float, result: Any = None, *, real_sleep: Callable[..., Any]) -> Any:
        """Block the current task until the clock is ``seconds`` further, which it then is at once."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, BaseEventLoop):
            # A loop that is not asyncio's own, such as uvloop: its timers are out of reach, so each sleep by itself
            # moves the clock.
            self._move(seconds)
            return await real_sleep(0, result)
        state = self._state(loop)
        end = self._time + seconds
        state.sleepers += 1
        try:
            result = await real_sleep(seconds, result)
        finally:
            state.sleepers -= 1
        # What the loop has waited for real meanwhile counts as slept, so that the clock comes out exact.
        missing = end - self._time
        if missing > 1e-9 and _installed.value is self:
            state.ahead = max(0.0, state.ahead - missing)
            self._move(missing)
        return result

    def time(self, loop: BaseEventLoop) -> float:
        """What ``loop.time()`` gives."""
        return self._time + self._state(loop).ahead

    def before_iteration(self, loop: Any) -> None:
        """Move the clock to the loop's earliest timer, if nothing else can happen before it."""
        state = self._state(loop)
        state.thread = threading.get_ident()
        when = min((handle._when for handle in loop._scheduled if not handle._cancelled), default=math.inf)
        if when == math.inf or loop._stopping:
            return
        wait = _SHORTEST_WAIT
        while not self._poll(loop) and not self._is_due(loop, when):
            idle = self._is_idle(loop, state)
            if idle and state.jobs:
                # A thread that seems to wait may be about to get what it waits for: look twice.
                idle = not self._poll(loop, _SHORTEST_WAIT) and self._is_idle(loop, state)
            if self._poll(loop):  # a thread came to its end while we looked
                return
            if idle:
                self._jump(loop, when)
            else:
                # In slices: a thread that works now may soon wait for the loop itself.
                self._wait(loop, state, when, wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    @staticmethod
    def _poll(loop: Any, timeout: float = 0) -> bool:
        if not loop._ready:
            loop._process_events(loop._selector.select(timeout))
        return bool(loop._ready)

    def _is_due(self, loop: Any, when: float) -> bool:
        return when < self.time(loop) + loop._clock_resolution  # as the loop itself decides it

    def _jump(self, loop: BaseEventLoop, when: float) -> None:
        self._move(when - self.time(loop))
        while not self._is_due(loop, when):  # the sum of floats came out just below
            self._time = math.nextafter(self._time, math.inf)

    def _wait(self, loop: BaseEventLoop, state: _State, when: float, longest: float) -> None:
        due, start = when - self.time(loop), self._monotonic()
        self._poll(loop, min(due, longest))
        state.ahead += min(due, self._monotonic() - start)

    def _is_idle(self, loop: Any, state: _State) -> bool:
        frames = sys._current_frames()

        def waits(thread: int | None, by: frozenset[str]) -> bool:
            frame = frames.get(thread) if thread is not None else None
            if frame is None:
                return False
            return frame.f_code.co_filename in _WAITING_IN and frame.f_code.co_name in by

        started = [job.thread for job in list(state.jobs) if job.thread is not None]
        if not all(waits(thread, _WAITING_BY) for thread in started) or (state.jobs and not started):
            return False
        if state.sleepers:
            return True
        # Only time outs are left. The loop's pipe to itself is always registered; any other file may bring something,
        # and so may any thread that is new, but one of an executor that waits for work.
        return (
            not state.jobs
            and len(loop._selector.get_map()) <= 1
            and all(
                thread in self._threads
                or thread is threading.current_thread()
                or waits(thread.ident, _WAITING_FOR_WORK)
                for thread in threading.enumerate()
            )
        )

    def _state(self, loop: BaseEventLoop) -> _State:
        state = self._states.get(loop)
        if state is None:
            state = self._states[loop] = _State()
        return state

    # ------------------------------------------------------------- begin, end

    def install(self) -> None:
        """Put all loops under this clock."""
        _uncover_time(BaseEventLoop)
        for name, virtual in _VIRTUAL.items():
            setattr(BaseEventLoop, name, virtual)
        _installed.value = self

    def uninstall(self) -> None:
        """Give the loops their real time back; a timer that is still pending keeps what was left of its wait."""
        if _installed.value is not self:
            return
        left = [(loop, state, self.time(loop)) for loop, state in list(self._states.items())]
        for name, real in _REAL.items():
            setattr(BaseEventLoop, name, real)
        _installed.value = None
        for loop, state, virtual in left:
            if loop.is_closed():
                continue
            if loop.is_running() and state.thread != threading.get_ident():
                with contextlib.suppress(RuntimeError):  # it was closed just now
                    loop.call_soon_threadsafe(_delay_timers, loop, self._monotonic() - virtual)
            else:
                _delay_timers(loop, self._monotonic() - virtual)


def _nothing() -> None:
    pass


_installed = Slot[Loops]("virtual clock of loops")


# --- private API: asyncio.base_events.BaseEventLoop, seen on Python 3.11-3.13: its one iteration, its ready queue, its
# --- timers and its selector. There is no public way to know that a loop has nothing to do but wait.

_REAL: dict[str, Any] = {name: BaseEventLoop.__dict__[name] for name in ("time", "_run_once", "run_in_executor")}


def _time(loop: BaseEventLoop) -> float:
    loops = _installed.value
    return loops.time(loop) if loops is not None else _REAL["time"](loop)


def _run_once(loop: BaseEventLoop) -> None:
    loops = _installed.value
    if loops is not None:
        loops.before_iteration(loop)
    _REAL["_run_once"](loop)


def _run_in_executor(loop: BaseEventLoop, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
    loops = _installed.value
    if loops is None:
        return _REAL["run_in_executor"](loop, executor, func, *args)
    job, jobs = _Job(), loops._state(loop).jobs

    def run(*args: Any) -> Any:
        job.thread = threading.get_ident()
        return func(*args)

    future = _REAL["run_in_executor"](loop, executor, run, *args)
    jobs.add(job)
    future.add_done_callback(lambda _: jobs.discard(job))
    return future


_VIRTUAL: dict[str, Any] = {"time": _time, "_run_once": _run_once, "run_in_executor": _run_in_executor}


def _uncover_time(base: type[BaseEventLoop]) -> None:
    """Remove the copies of ``BaseEventLoop.time`` that ``freeze_time(real_asyncio=True)`` leaves at its subclasses.

    They would hide the virtual one; seen on freezegun 1.5, which puts back by setattr what it had read by getattr.
    """
    for loop_class in base.__subclasses__():
        if vars(loop_class).get("time") is _REAL["time"]:
            del loop_class.time
        _uncover_time(loop_class)


def _delay_timers(loop: Any, seconds: float) -> None:
    handles: Iterator[Any] = iter(loop._scheduled)
    for handle in handles:
        handle._when += seconds  # all by the same, so that the heap stays one
