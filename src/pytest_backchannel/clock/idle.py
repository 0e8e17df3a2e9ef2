"""One notion of idle: nothing more will happen now, unless a timer comes due, or somebody outside acts.

It is known, not waited for, from the event loop's own queues: no callback is ready, no executor job runs. What is left
are the loop's timers, which can be listed, and its sockets, which cannot be asked what they will bring. Where the
loop can't be seen (uvloop), or a socket is open (a real Redis layer), the answer is :attr:`Verdict.UNSEEN`.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..events import Location, definition_of, is_project_file, line_of
from . import patience


class Verdict(enum.Enum):
    """What :func:`settle` found."""

    IDLE = "idle"  #: nothing is ready and no job runs
    UNSEEN = "unseen"  #: nothing is ready, but the loop can't be seen into, or a socket may bring something
    BUSY = "busy"  #: the time is up, and something still runs
    STOPPED = "stopped"  #: the caller's own condition came true first


@dataclass(frozen=True)
class Timer:
    """One thing that waits for its time in the event loop.

    Attributes:
        due_in: how long from now, in seconds; 0 where it is overdue.
        what: the task or callback that it wakes.
        where: the line of the project's own code that waits, where known.
    """

    due_in: float
    what: str
    where: Location | None

    def __str__(self) -> str:
        return f"{self.what} in {self.due_in:.3f} s" + (f" [{self.where}]" if self.where else "")


# ------------------------------------------------------------ executor jobs


@dataclass
class Job:
    """One call in an executor of the loop: ``asyncio.to_thread``, ``sync_to_async``, ``database_sync_to_async``.

    Attributes:
        function: what was handed to the executor.
        thread: the number of the thread that runs it, or None while it waits for one.
    """

    function: Any
    thread: int | None = None

    def where(self) -> Location | None:
        """The innermost line of the project's own code that the job runs now."""
        frame = sys._current_frames().get(self.thread) if self.thread is not None else None
        return line_of(frame)


class _Watch:
    """The executor jobs of one loop, while somebody wants to know of them."""

    def __init__(self) -> None:
        self.users = 0
        self._jobs: list[tuple[asyncio.Future[Any], Job]] = []
        self.replaced: Any = None

    def add(self, future: asyncio.Future[Any], job: Job) -> None:
        if len(self._jobs) > 16:
            self._jobs = self.running()
        self._jobs.append((future, job))

    def running(self) -> list[tuple[asyncio.Future[Any], Job]]:
        return [(future, job) for future, job in self._jobs if not future.done()]


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Know of the loop's executor jobs from now on; each call needs its :func:`unwatch`."""
    seen = _watches.get(loop)
    if seen is None:
        seen = _watches[loop] = _Watch()
    seen.users += 1
    if seen.users > 1:
        return
    # Only what was set on this very loop is kept; the class's own is looked up at each call, since the virtual clock
    # may replace it meanwhile.
    seen.replaced = vars(loop).get("run_in_executor") if hasattr(loop, "__dict__") else None
    add = seen.add

    def run_in_executor(executor: Any, function: Any, *args: Any) -> asyncio.Future[Any]:
        job = Job(function)

        def run() -> Any:
            job.thread = threading.get_ident()
            try:
                return function(*args)
            finally:
                job.thread = None

        if seen.replaced is not None:
            future = seen.replaced(executor, run)
        else:
            future = type(loop).run_in_executor(loop, executor, run)
        add(future, job)
        return future

    # A loop that allows no attribute (one written in C) is one that can't be seen into anyway.
    with contextlib.suppress(AttributeError):
        loop.run_in_executor = run_in_executor  # type: ignore[assignment, method-assign]


def unwatch(loop: asyncio.AbstractEventLoop) -> None:
    """Undo one :func:`watch`; the last one leaves the loop as it was."""
    seen = _watches[loop]
    seen.users -= 1
    if not seen.users:
        with contextlib.suppress(AttributeError):
            if seen.replaced is None:
                del loop.run_in_executor
            else:
                loop.run_in_executor = seen.replaced  # type: ignore[method-assign]
        del _watches[loop]


def jobs(loop: asyncio.AbstractEventLoop) -> list[Job]:
    """The executor jobs of a watched loop that have not ended."""
    seen = _watches.get(loop)
    return [job for _, job in seen.running()] if seen else []


# --- private API: asyncio.BaseEventLoop._ready, ._scheduled, ._selector, ._ssock, Handle._callback, ._args,
# ._cancelled, Future._callbacks, Task._fut_waiter, Timeout._task, TaskGroup._parent_task, seen on Python 3.11–3.13, and
# CancelScope._host_task of anyio 4: the only places that say what a loop has left to do, and what a task waits for ---

_settling: set[asyncio.Task[Any]] = set()


def visible(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop's queues can be seen: those of asyncio's own loops, and of loops derived from them."""
    return all(hasattr(loop, name) for name in ("_ready", "_scheduled", "_selector"))


def has_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop listens to anything but its own wake-up pipe."""
    own = getattr(loop, "_ssock", None)
    selector_map = loop._selector.get_map() or {}  # type: ignore[attr-defined]
    return any(key.fileobj is not own and key.fd != (own.fileno() if own else -1) for key in selector_map.values())


def _something_ready(loop: asyncio.AbstractEventLoop) -> bool:
    # Other tasks that ask the same question are ready all the time, and are no news.
    return any(
        not handle._cancelled and getattr(handle._callback, "__self__", None) not in _settling
        for handle in tuple(loop._ready)  # type: ignore[attr-defined]
    )


def _task_waiting_for(future: Any) -> asyncio.Task[Any] | None:
    for callback, *_ in getattr(future, "_callbacks", None) or ():
        task = getattr(callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            return task
    return None


def _timer_task(handle: Any) -> asyncio.Task[Any] | None:
    owner = getattr(handle._callback, "__self__", None)
    if isinstance(owner, asyncio.Timeout):
        return owner._task  # type: ignore[attr-defined]
    if isinstance(host := getattr(owner, "_host_task", None), asyncio.Task):  # a cancel scope of anyio
        return host
    for argument in handle._args or ():
        if isinstance(argument, asyncio.Future):
            return _task_waiting_for(argument)
    return None


def _who_awaits(task: asyncio.Task[Any]) -> set[asyncio.Task[Any]]:
    """A task, and the tasks that await it: directly, in a task group, or by gather, wait, wait_for or shield."""
    found: set[asyncio.Task[Any]] = set()
    futures: list[asyncio.Future[Any]] = [task]
    seen: set[int] = set()
    while futures:
        future = futures.pop()
        if id(future) in seen:
            continue
        seen.add(id(future))
        if isinstance(future, asyncio.Task):
            found.add(future)
        for callback, *_ in getattr(future, "_callbacks", None) or ():
            owner = getattr(callback, "__self__", None)
            held: list[Any] = [owner, getattr(owner, "_parent_task", None), *(getattr(callback, "args", None) or ())]
            for cell in getattr(callback, "__closure__", None) or ():
                with contextlib.suppress(ValueError):  # a variable that is not set yet
                    held.append(cell.cell_contents)
            # A task group of anyio is known by its cancel scope.
            held += [getattr(getattr(item, "cancel_scope", None), "_host_task", None) for item in held]
            futures.extend(item for item in held if isinstance(item, asyncio.Future))
    return found


def timers(loop: asyncio.AbstractEventLoop, *, ignoring: asyncio.Task[Any] | None = None) -> list[Timer]:
    """What waits for its time, the earliest first; empty where the loop can't be seen.

    Args:
        loop: the event loop.
        ignoring: a task whose own timers do not count, the one that asks; nor do those of the tasks that await it.
    """
    if not visible(loop):
        return []
    found: list[Timer] = []
    asking: set[asyncio.Task[Any]] | None = None
    for handle in tuple(loop._scheduled):  # type: ignore[attr-defined]
        if handle._cancelled:
            continue
        task = _timer_task(handle)
        if task is not None and ignoring is not None:
            asking = _who_awaits(ignoring) if asking is None else asking
            if task in asking:
                continue
        due_in = max(0.0, handle.when() - loop.time())
        if task is None:
            name = getattr(handle._callback, "__qualname__", repr(handle._callback))
            function = getattr(handle._callback, "func", handle._callback)
            found.append(Timer(due_in, name, definition_of(getattr(function, "__code__", None))))
        else:
            stack = awaiting(task)
            name = getattr(task.get_coro(), "__qualname__", task.get_name())
            found.append(Timer(due_in, stack[-1].function if stack else name, stack[-1] if stack else None))
    return sorted(found, key=lambda timer: timer.due_in)


def _first(owner: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(owner, name, None)) is not None), None)


def _frames(task: asyncio.Task[Any], seen: set[int]) -> Iterator[Any]:
    """The frames in which a task waits, the outermost first, on into the tasks that it awaits."""
    if id(task) in seen:  # tasks that await each other
        return
    seen.add(id(task))
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")
    waiter = getattr(task, "_fut_waiter", None)
    for inner in (waiter, *getattr(waiter, "_children", ())):
        if isinstance(inner, asyncio.Task) and not inner.done():
            yield from _frames(inner, seen)


# --- end of private API ---


def awaiting(task: asyncio.Task[Any]) -> list[Location]:
    """The lines of the project's own code in which a task waits, the innermost last.

    Where it waits for an executor job, the line that the job runs now comes last.

    Args:
        task: a task that is not done; for one that is, there is no line.
    """
    found = [
        Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        for frame in _frames(task, set())
        if is_project_file(frame.f_code.co_filename)
    ]
    loop = task.get_loop()
    running = jobs(loop)
    if len(running) == 1:  # with several, nothing says which of them this task waits for
        where = running[0].where()
        if where is not None and where not in found:
            found.append(where)
    return found


async def settle(timeout: float, *, until: Callable[[], bool] = lambda: False) -> Verdict:
    """Let the running loop go on until nothing more will happen now.

    Timers are not waited for, executor jobs are, if the loop was watched (:func:`watch`) when they began.

    Args:
        timeout: how long to wait for executor jobs, and for a loop that never rests, in seconds.
        until: stop early when this comes true.

    Returns:
        The verdict.
    """
    loop = asyncio.get_running_loop()
    if not visible(loop):
        for _ in range(3):
            await asyncio.sleep(0)
        return Verdict.STOPPED if until() else Verdict.UNSEEN
    task = asyncio.current_task()
    assert task is not None  # an await runs in a task
    deadline = patience.now(loop) + timeout
    rests = 0
    _settling.add(task)
    try:
        while True:
            if until():
                return Verdict.STOPPED
            seen = _watches.get(loop)
            running = [future for future, _ in seen.running()] if seen is not None else []
            if _something_ready(loop) or running:
                rests = 0
                if patience.now(loop) > deadline:
                    return Verdict.BUSY
                if running:
                    _settling.discard(task)
                    left = max(0.0, deadline - patience.now(loop))
                    await patience.wait(running, left, asyncio.FIRST_COMPLETED)
                    _settling.add(task)
                    continue
            elif not has_sockets(loop):
                return Verdict.IDLE
            elif rests == 2:  # the loop has looked at its sockets meanwhile
                return Verdict.UNSEEN
            else:
                rests += 1
            await asyncio.sleep(0)
    finally:
        _settling.discard(task)
