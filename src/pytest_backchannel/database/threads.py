"""Threads that outlive their test: found at its end, and kept from the database of later tests.

A thread that a test started, or a job that it gave to a pool, is known by the outermost frame of its work. It is
left over if that frame runs when the test ends and did not run when it began. A pool's thread that waits for its
next job is not: later tests may use the pool.
"""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import contextlib
import queue
import sys
import threading
from collections.abc import Generator
from types import CodeType, FrameType

from ..active import tracked
from ..errors import ThreadOutlivedTest

#: How often half a millisecond is waited for work that is about to end.
GRACE = 100

_left: dict[int, tuple[FrameType, str]] = tracked("threads that outlived their test", {}, of_the_run=True)
_tests: list[ThreadsOfTest] = tracked("watched threads of a test", [])


def outlived(test: str) -> ThreadOutlivedTest:
    """The error for the current thread, which ``test`` has left running."""
    return ThreadOutlivedTest(
        f"{threading.current_thread().name} was started by {test or 'a test'} and still runs after its end; it may "
        "not touch the database of a later test. Join the thread (or shut down its pool or server) before the test "
        "ends."
    )


class ThreadsOfTest:
    """What ran when a test began; :meth:`end` remembers what the test left running.

    Args:
        test: the test, for messages.
    """

    def __init__(self, test: str) -> None:
        self.test = test
        self._before = _work()
        _tests.append(self)

    def end(self) -> None:
        """Remember the work that began since and still runs."""
        _tests.remove(self)
        left = self._new()
        for _ in range(GRACE):
            if not left:
                break
            # It may be about to end: give it a moment. Not time.sleep(), which a test may have replaced.
            threading.Event().wait(0.0005)
            left = self._new()
        for ident, frame in left.items():
            _left[ident] = (frame, self.test)
        self._before = {}

    def _new(self) -> dict[int, FrameType]:
        return {ident: frame for ident, frame in _work().items() if self._before.get(ident) is not frame}


@contextlib.contextmanager
def of_no_test() -> Generator[None]:
    """Work that begins in the block belongs to no test: it is of something that serves later tests too."""
    before = _work() if _tests else {}
    yield
    for test in _tests:
        test._before |= {ident: frame for ident, frame in _work().items() if before.get(ident) is not frame}


def any_left() -> bool:
    """Whether some work that outlived its test still runs."""
    if _left:
        running = _work()
        for ident, (frame, _test) in list(_left.items()):
            if running.get(ident) is not frame and ident != threading.get_ident():
                _left.pop(ident, None)
    return bool(_left)


def check() -> None:
    """Refuse the database to the current thread if its work outlived its test.

    Raises:
        ThreadOutlivedTest: it did.
    """
    if not _left:
        return
    ident = threading.get_ident()
    entry = _left.get(ident)
    if entry is None:
        return
    root, test = entry
    if _outermost(sys._getframe(), _pool_loops()) is root:
        raise outlived(test)
    _left.pop(ident, None)


def _work() -> dict[int, FrameType]:
    """The outermost frame of the work of each other thread; idle threads of pools have none."""
    mine = threading.get_ident()
    loops = _pool_loops()
    found = ((ident, _outermost(frame, loops)) for ident, frame in sys._current_frames().items() if ident != mine)
    return {ident: frame for ident, frame in found if frame is not None}


def _outermost(frame: FrameType, loops: set[CodeType]) -> FrameType | None:
    above: FrameType | None = None
    inner: FrameType | None = None
    current: FrameType | None = frame
    while current is not None:
        if current.f_code in loops:
            idle = inner is None or inner.f_code in _WAITING or (above is not None and above.f_code in _DONE)
            return None if idle else inner
        above, inner, current = inner, current, current.f_back
    return inner


# --- private API: the loops of the threads of pools, which wait there for a job ------------------------------------
# concurrent.futures.thread._worker and multiprocessing.pool.worker (Python 3.11–3.13), and anyio's
# WorkerThread.run (anyio 4): nothing public says whether a pool's thread has a job.

_WAITING = {queue.Queue.get.__code__}
# A job tells its result before its thread is through with it, and who waits for the result goes on at once.
_DONE = {concurrent.futures.Future.set_result.__code__, concurrent.futures.Future.set_exception.__code__}


def _pool_loops() -> set[CodeType]:
    loops = {concurrent.futures.thread._worker.__code__}
    if module := sys.modules.get("multiprocessing.pool"):
        loops.add(module.worker.__code__)
    if module := sys.modules.get("anyio._backends._asyncio"):
        loops.add(module.WorkerThread.run.__code__)
    return loops
