"""A time limit that nothing escapes: libraries have their own, and some of them wait longer than they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# A library that keeps the limit itself has the word first: it knows better what it waited for.
GRACE = 0.5


class TooSlow(Exception):
    """What was asked for has not answered in time."""


class _Call(Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        self.result: T | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


def limited(function: Callable[[], T], seconds: float) -> T:
    """Call a function in a thread of its own, and give up on it after a time.

    What hangs goes on hanging in its daemon thread, which ends with the command.

    Args:
        function: without arguments.
        seconds: the limit, as the user gave it; the messages name it.

    Raises:
        TooSlow: it has not returned.
    """
    call = _Call(function)
    threading.Thread(target=call.run, daemon=True, name="smoke").start()
    if not call.done.wait(seconds + GRACE):
        raise TooSlow(f"no answer within {seconds:g} s")
    if call.error is not None:
        raise call.error
    return call.result  # type: ignore[return-value]
