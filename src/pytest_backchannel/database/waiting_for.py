"""Whether a thread that holds a shared connection only waits for another, and so can lend it to that one meanwhile."""

from __future__ import annotations

import concurrent.futures
import queue
import selectors
import sys
import threading
from collections.abc import Collection
from types import CodeType, FrameType

from .threads import _pool_loops

# From the wait of a lock up to who asked for it there are only few frames.
_NEAR = 6


def waits_for_us(holder: int, before: Collection[threading.Thread]) -> bool:
    """Whether a thread only waits for something that the calling one brings.

    Known are ``Thread.join()`` of the calling thread; ``Future.result()`` and its like, and what ``async_to_sync``
    waits in, where the calling one runs a job of a pool; and ``Queue.get()``, where it is one of a pool or was started
    later.

    Args:
        holder: the thread that may be waiting.
        before: the threads that ran when the holder entered its block.
    """
    ours = threading.current_thread()
    frame: FrameType | None = sys._current_frames().get(holder)
    idle = frame is not None and frame.f_code is threading.Condition.wait.__code__
    for _ in range(_NEAR):
        if frame is None:
            return False
        if frame.f_code in _JOINS and frame.f_locals.get("self") is ours:
            return True
        if frame.f_code in _JOBS or (idle and frame.f_code in _asgiref()):
            return _runs_a_job(sys._getframe(1))
        if frame.f_code in _QUEUES:
            return ours not in before or _runs_a_job(sys._getframe(1))
        frame = frame.f_back
    return False


def _runs_a_job(frame: FrameType | None) -> bool:
    loops = _pool_loops()
    while frame is not None:
        if frame.f_code in loops:
            return True
        frame = frame.f_back
    return False


# --- private API: where the standard library waits, Python 3.11–3.14; nothing public tells what a thread waits for.
# --- Methods that are public by name, but for concurrent.futures.as_completed, a generator, and Executor.map, whose
# --- results come through Future.result. tests/unit/database/test_lending_meanwhile.py waits in each of them.

_JOINS: set[CodeType] = {threading.Thread.join.__code__}
_JOBS: set[CodeType] = {
    concurrent.futures.Future.result.__code__,
    concurrent.futures.Future.exception.__code__,
    concurrent.futures.wait.__code__,
    concurrent.futures.as_completed.__code__,
    concurrent.futures.ThreadPoolExecutor.shutdown.__code__,
    *(
        selector.select.__code__
        for name in ("SelectSelector", "PollSelector", "EpollSelector", "KqueueSelector")
        if (selector := getattr(selectors, name, None)) is not None
    ),
}
_QUEUES: set[CodeType] = {queue.Queue.get.__code__, queue.Queue.join.__code__}


def _asgiref() -> set[CodeType]:
    # asgiref 3.9: it waits in a condition of its own, and runs here what is to run in this thread.
    module = sys.modules.get("asgiref.current_thread_executor")
    return {module.CurrentThreadExecutor.run_until_future.__code__} if module else set()


# --- end of private API
