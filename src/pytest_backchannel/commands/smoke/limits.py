"""A time limit that nothing escapes: libraries have their own, and some of them wait longer than they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

# A library that keeps the limit itself has the word first: it knows better what it waited for.
GRACE = 0.5


class TooSlow(Exception):
    """What was asked for has not answered in time."""


def limited(function: Callable[[], T], seconds: float) -> T:
    """Call a function in a thread of its own, and give up on it after a time.

    What hangs goes on hanging in its daemon thread, which ends with the command.

    Args:
        function: without arguments.
        seconds: the limit, as the user gave it; the messages name it.

    Raises:
        TooSlow: it has not returned.
    """
    answer: Future[T] = Future()

    def call() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=call, daemon=True, name="smoke").start()
    wait([answer], seconds + GRACE)
    if not answer.done():
        raise TooSlow(f"no answer within {seconds:g} s")
    return answer.result()
