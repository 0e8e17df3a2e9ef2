"""One query and one atomic block at a time: the lock of a shared connection."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Generator
from types import FrameType

from ..errors import SharedConnectionBusy
from ..events import Location, caller, line_of
from .threads import outlived
from .waiting_for import waits_for_us

# How often a thread that waits looks whether the holder waits for it, in seconds.
_POLL = 0.005


class SharedLock:
    """The lock of one shared connection: held by a thread for one query, or for one atomic block.

    A query of another thread waits for the end of an atomic block too: run between two savepoints of that block, it
    would be rolled back with it, which its own connection would not do to it in production. But where the holder only
    waits for that very thread, as a block does that gives jobs to a pool of threads and waits for them, the two would
    wait for each other, and production knows no such wait: the holder lends the lock until the other gives it back.

    Args:
        alias: the database, for messages.
        limit: how long a thread waits for another, in seconds.
    """

    def __init__(self, alias: str, limit: float) -> None:
        self.alias = alias
        self.limit = limit
        #: The line that entered the atomic block that holds the lock; None outside, or where no such line is known.
        self.entered: Location | None = None
        #: The test that has ended, and with it the sharing.
        self.ended: str | None = None
        self._changed = threading.Condition(threading.Lock())
        self._holder: int | None = None
        self._depth = 0
        #: The threads that ran when the holder entered its atomic block.
        self._before: frozenset[threading.Thread] = frozenset()
        #: Those that have lent it and wait: what to give them back, the last one last.
        self._lenders: list[tuple[int, int, Location | None, frozenset[threading.Thread]]] = []

    @property
    def mine(self) -> bool:
        """Whether the current thread holds the lock."""
        return self._holder == threading.get_ident()

    @property
    def lent(self) -> bool:
        """Whether the current thread has lent it, and has not got it back."""
        return any(lender[0] == threading.get_ident() for lender in self._lenders)

    def regain(self) -> None:
        """Wait until who was lent it has given it back.

        Raises:
            SharedConnectionBusy: it did not within the limit.
        """
        if not self.mine:
            self.acquire("leave transaction.atomic()")
            self.release()

    def acquire(self, purpose: str, *, atomic: bool = False) -> None:
        """Take the lock, once more if the current thread holds it.

        Args:
            purpose: what for, for the message, such as ``"run a query"``.
            atomic: whether it is for an atomic block, whose line the messages then name.

        Raises:
            SharedConnectionBusy: another thread did not give it back within the limit.
            ThreadOutlivedTest: the test has ended meanwhile.
        """
        if not self.take(self.limit):
            raise SharedConnectionBusy(
                f"{threading.current_thread().name} waited {self.limit:g} s to {purpose} on the database "
                f"{self.alias!r}, which all threads of the test share: {self.describe_holder()}.\n"
                "Do the two wait for each other? End the atomic block before you wait for another thread; or, if the "
                "test is about two connections, give it real ones: @pytest.mark.django_db(transaction=True)."
            )
        if self.ended is not None:
            self.release()
            raise outlived(self.ended)
        if self._depth == 1:
            self.entered = caller(2) if atomic else None
            # Not by their numbers: the system gives that of a thread which has ended to the next one.
            self._before = frozenset(threading.enumerate() if atomic else ())

    def take(self, limit: float) -> bool:
        """Wait for the lock, and take it; for how long at most, in seconds. Whether it was free in time."""
        mine = threading.get_ident()
        with self._changed:
            if self._holder not in (None, mine) and not self._wait(mine, limit):
                return False
            self._holder = mine
            self._depth += 1
        return True

    def _wait(self, mine: int, limit: float) -> bool:
        """Until it is free, or back with who lent it, or its holder waits for this thread."""
        waited = 0.0
        while self._holder not in (None, mine):
            if self._lend_to(mine):
                return True
            if waited >= limit:
                return False
            if not self._changed.wait(min(_POLL, limit)):
                waited += _POLL
        return True

    def _lend_to(self, mine: int) -> bool:
        holder = self._holder
        # Who has lent it gets it back first: a block that goes on inside of another's is no block of its own.
        if holder is None or any(lender[0] == mine for lender in self._lenders):
            return False
        if self.entered is None or not waits_for_us(holder, self._before):
            return False
        self._lenders.append((holder, self._depth, self.entered, self._before))
        self._holder, self._depth, self.entered = mine, 0, None
        return True

    def release(self) -> None:
        """Give the lock back, as often as it was taken."""
        with self._changed:
            self._depth -= 1
            if self._depth == 0:
                self._holder, self.entered, self._before = None, None, frozenset()
                if self._lenders:
                    self._holder, self._depth, self.entered, self._before = self._lenders.pop()
                self._changed.notify_all()

    @contextlib.contextmanager
    def held(self, purpose: str) -> Generator[None]:
        """Hold the lock for a block."""
        self.acquire(purpose)
        try:
            yield
        finally:
            self.release()

    def describe_holder(self) -> str:
        """Which thread holds the lock, since which line, and where it is now."""
        holder, entered = self._holder, self.entered
        if holder is None:
            return "nobody holds it now"
        name = next((thread.name for thread in threading.enumerate() if thread.ident == holder), f"thread {holder}")
        parts = [f"{name} holds it"]
        if entered is not None:
            parts.append(f"inside the atomic block entered at {entered} ({entered.function})")
        if now := _line(sys._current_frames().get(holder), project=entered is not None):
            parts.append(f"and is now at {now} ({now.function})")
        return ", ".join(parts)


def _line(frame: FrameType | None, *, project: bool) -> Location | None:
    """The innermost frame of the project's own code; where that is not asked for, the innermost of any."""
    found = line_of(frame)
    if found is not None or project or frame is None:
        return found
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
