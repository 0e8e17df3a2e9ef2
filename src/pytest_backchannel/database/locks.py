"""One query and one atomic block at a time: the lock of a shared connection."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Generator
from types import FrameType

from ..errors import SharedConnectionBusy
from ..events import Location, caller, is_project_file
from .threads import outlived


class SharedLock:
    """The lock of one shared connection: held by a thread for one query, or for one atomic block.

    A query of another thread waits for the end of an atomic block too: run between two savepoints of that block, it
    would be rolled back with it, which its own connection would not do to it in production.

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
        self._lock = threading.RLock()
        self._holder: int | None = None
        self._depth = 0

    @property
    def mine(self) -> bool:
        """Whether the current thread holds the lock."""
        return self._holder == threading.get_ident()

    def acquire(self, purpose: str, *, atomic: bool = False) -> None:
        """Take the lock, once more if the current thread holds it.

        Args:
            purpose: what for, for the message, such as ``"run a query"``.
            atomic: whether it is for an atomic block, whose line the messages then name.

        Raises:
            SharedConnectionBusy: another thread did not give it back within the limit.
            ThreadOutlivedTest: the test has ended meanwhile.
        """
        if not self._lock.acquire(timeout=self.limit):
            raise SharedConnectionBusy(
                f"{threading.current_thread().name} waited {self.limit:g} s to {purpose} on the database "
                f"{self.alias!r}, which all threads of the test share: {self.describe_holder()}.\n"
                "Do the two wait for each other? End the atomic block before you wait for another thread; or, if the "
                "test is about two connections, give it real ones: @pytest.mark.django_db(transaction=True)."
            )
        if self.ended is not None:
            self._lock.release()
            raise outlived(self.ended)
        self._depth += 1
        if self._depth == 1:
            self._holder = threading.get_ident()
            self.entered = caller(2) if atomic else None

    def release(self) -> None:
        """Give the lock back, as often as it was taken."""
        self._depth -= 1
        if self._depth == 0:
            self._holder = None
            self.entered = None
        self._lock.release()

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
    innermost = frame
    while frame is not None and not is_project_file(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None and not project:
        frame = innermost
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname) if frame else None
