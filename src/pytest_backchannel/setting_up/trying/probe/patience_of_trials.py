"""Ends what takes too long in a trial."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

SECONDS = 10


class TookTooLong(BaseException):
    """It has not ended in time. No Exception: code that catches all of them goes on otherwise."""


@contextmanager
def in_time(seconds: float = SECONDS) -> Generator[None]:
    """Raise where the block takes longer, whatever it waits for.

    Args:
        seconds: how long it may take.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"has not ended within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
