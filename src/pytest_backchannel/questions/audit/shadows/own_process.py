"""What makes a forked child a process of its own: silent, on a time limit, and kept from everything outside."""

from __future__ import annotations

import io
import logging
import os
import random
import signal
import sys
from typing import Any

from ....active import Slot
from ....events import line_of
from . import told_parent
from .outside import keep_inside


class _Limit:
    """Whether the time of this shadow is over, and whether a query runs that is waited for."""

    def __init__(self) -> None:
        self.querying = 0
        self.over_at: str | None = None


_limit: Slot[_Limit] = Slot("time limit of a shadow")


def become_shadow(limit: float) -> None:
    """Make this forked child a shadow.

    Args:
        limit: how long it may take, in seconds.
    """
    _log_nothing()
    random.seed()  # two shadows of one state are to differ where the project draws lots
    _be_silent()
    _limit.value = _Limit()
    signal.signal(signal.SIGALRM, _over)
    restart_limit(limit)
    keep_inside()


def restart_limit(seconds: float) -> None:
    """Give this shadow so many seconds from now on; a query that a death has cut off is over."""
    if _limit.value is not None:
        _limit.value.querying = 0
    signal.setitimer(signal.ITIMER_REAL, seconds)


def querying(begins: bool) -> None:
    """A query begins or ends: a connection that the parent has, too, is never left in the midst of one."""
    limit = _limit.value
    if limit is None:
        return
    limit.querying += 1 if begins else -1
    if not limit.querying and limit.over_at is not None:
        _tell(limit)


def _over(number: int, frame: Any) -> None:
    limit = _limit.value
    if limit is None:
        return
    where = line_of(frame)
    limit.over_at = "" if where is None else str(where)
    if not limit.querying:
        _tell(limit)


def _tell(limit: _Limit) -> None:
    told_parent.tell({"hangs_at": limit.over_at})


def _log_nothing() -> None:
    """As ``logging.disable()``, which goes through all loggers there are, and by that copies their memory."""
    logging.Logger.isEnabledFor = lambda logger, level: False  # type: ignore[method-assign, assignment]


def _be_silent() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
