"""How long an audit takes: processor time, which is the same on a busy machine, and a share of the clock's."""

from __future__ import annotations

import os

from .forking import now

BUSY = 3.0
"""Of so many seconds by the clock, one counts at least: an audit that waits ends, too."""


class Stopwatch:
    """Runs from when it is made; it counts this process and the forked ones that have ended meanwhile."""

    def __init__(self) -> None:
        self._began = now()
        self._used = _used()

    @property
    def clock(self) -> float:
        """Seconds by the clock."""
        return now() - self._began

    @property
    def seconds(self) -> float:
        """Seconds of processor time; a third of those by the clock, where that is more."""
        return max(_used() - self._used, self.clock / BUSY)


def _used() -> float:
    return sum(os.times()[:4])
