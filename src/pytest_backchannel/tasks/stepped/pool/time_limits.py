"""What happens in virtual time while a body sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from billiard.exceptions import SoftTimeLimitExceeded

from ....clock.virtual import active_clock
from .delivery import Delivery
from .faults import ChildDied

# How long after a SIGTERM the pool sends a SIGKILL, in seconds (billiard, TimeoutHandler._trywaitkill).
PATIENCE = 0.1


class Passing(Protocol):
    """What else happens while time passes."""

    next_moment: Callable[[], float | None]
    pass_time: Callable[[], None]


class TimeLimits:
    """The time limits of one request, and what the broker does meanwhile; a context manager around its body.

    Args:
        delivery: the request.
        soft: its soft time limit, in seconds.
        over_hard_limit: tells the request that it is over its hard time limit, and returns what ends its process.
        broker: what else happens.
    """

    def __init__(
        self,
        delivery: Delivery,
        soft: float | None,
        *,
        over_hard_limit: Callable[[Delivery, float], BaseException],
        broker: Passing,
    ) -> None:
        self._clock = active_clock()
        self._over_hard_limit = over_hard_limit
        self._broker = broker
        self._delivery = delivery
        self._soft_limit = soft
        self._deadlines: list[Any] = []

    def __enter__(self) -> None:
        if self._soft_limit:
            self._at(self._soft_limit, self._soft)
        if self._delivery.hard:
            self._at(self._delivery.hard, self._hard)
        self._watch_broker()

    def _at(self, seconds: float, call: Callable[[], BaseException | None]) -> None:
        if self._clock is not None:
            self._deadlines.append(self._clock.add_deadline(seconds, call))

    def _soft(self) -> BaseException:
        self._delivery.job.over_soft_limit(self._soft_limit or 0)
        return SoftTimeLimitExceeded()

    def _hard(self) -> BaseException:
        self._at(PATIENCE, self._kill)
        return self._over_hard_limit(self._delivery, self._delivery.hard or 0)

    def _kill(self) -> BaseException:
        self._delivery.kill()
        return ChildDied()

    def _watch_broker(self) -> None:
        moment = self._broker.next_moment()
        if moment is not None:
            self._at(moment - time.time(), self._pass_time)

    def _pass_time(self) -> None:
        self._broker.pass_time()
        self._watch_broker()

    def __exit__(self, *exc_info: object) -> None:
        if self._clock is not None:
            for deadline in self._deadlines:
                self._clock.remove_deadline(deadline)
