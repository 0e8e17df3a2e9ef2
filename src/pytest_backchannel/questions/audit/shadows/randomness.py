"""How much randomness a body asks for: where it is kept in memory, the next run is the same, and another shadow is not.

It runs in a forked child alone, which ends by ``os._exit``: what it replaces is never put back.
"""

from __future__ import annotations

import os
import random
from typing import Any, NamedTuple


class Draws(NamedTuple):
    """What one run has asked for.

    Attributes:
        bytes: how many bytes of the system's randomness, as ``uuid4()`` and ``secrets`` use it.
        numbers: whether any of Python's own random numbers.
    """

    bytes: int
    numbers: bool


class Randomness:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._bytes = 0
        self._state = random.getstate()
        _count(self._asked)

    def _asked(self, size: int) -> None:
        self._bytes += size

    def drawn(self) -> Draws:
        """What was asked for since the last call of this."""
        state = random.getstate()
        found = Draws(self._bytes, state != self._state)
        self._bytes, self._state = 0, state
        return found


# --- private API: random._urandom, which random.SystemRandom calls and secrets by it, seen on Python 3.11–3.14.
# --- tests/unit/questions/test_shadows.py fails where it is called otherwise.


def _count(asked: Any) -> None:
    before = os.urandom

    def urandom(size: int) -> bytes:
        asked(size)
        return before(size)

    os.urandom = urandom
    random._urandom = urandom  # type: ignore[attr-defined]


# --- end of private API
