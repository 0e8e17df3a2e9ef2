"""A time limit that nothing escapes: libraries have their own, and some of them wait longer than they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class TooSlow(Exception):
    """What was asked for has not answered in time."""


def limited(function: Callable[[], T], seconds: float) -> T:
    """Call a function in a thread of its own, and give up on it after a time.

    What hangs goes on hanging in its daemon thread, which ends with the command.

    Args:
        function: without arguments.
        seconds: the limit.

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
    wait([answer], max(seconds, 0.001))
    if not answer.done():
        raise TooSlow(f"no answer within {seconds:.1f} s")
    return answer.result()
