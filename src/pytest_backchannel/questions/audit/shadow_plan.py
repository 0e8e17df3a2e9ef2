"""The shadows of one call: clean twice, clean once more for the noise, and a death after each effect that lasts."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .audit_budget import MOST_POINTS
from .audit_data import AuditedCall, BodyRun, Finding, effect_from, run_from, signature_of
from .shadows.forking import NotAudited, forked, now
from .shadows.parents_databases import Sequences, check_databases, pinned
from .shadows.shadow_run import Body, die_after, run_once, run_twice
from .stores.redis_put_back import redis_put_back
from .weighing.call_findings import death_points, left_undone, of_death, of_hanging, of_second_delivery
from .weighing.noise import Noise, noise_of

LIMIT = 10.0
"""How long one shadow may take, in seconds."""
SLOW = 1.0
"""After how long it is said what is waited for, in seconds."""


class ShadowPlan:
    """What the shadows of one call have shown.

    Args:
        body: the call.
        call: what is known of it.
        kinds: what is tried.
        seconds: how long all of it may take.
        slow: called once, when it has taken more than a second and is not done.

    Attributes:
        call: with what was found.
        clean: what the first clean run did.
        noise: what differs between two clean runs.
    """

    def __init__(
        self,
        body: Body,
        call: AuditedCall,
        *,
        kinds: tuple[str, ...],
        seconds: float,
        slow: Callable[[], None] = lambda: None,
    ) -> None:
        self.call = call
        self.clean = BodyRun()
        self.noise = Noise()
        self._body = body
        self._kinds = kinds
        self._began = now()
        self._until = self._began + seconds
        self._slow: Callable[[], None] | None = slow
        self._second: BodyRun | None = None
        self._sequences: Sequences | None = None

    def look(self, is_new: Callable[[tuple[str, ...]], bool]) -> bool:
        """Run the body twice in a shadow.

        Args:
            is_new: whether a sequence of effects was not audited yet.

        Returns:
            Whether there is something new to be audited.

        Raises:
            NotAudited: nothing can be said.
        """
        check_databases()
        gc.collect(0)
        told = self._fork(lambda: run_twice(self._body, LIMIT))
        if "hangs_at" in told:
            raise NotAudited(f"a clean run takes longer than {LIMIT:g} s" + _at(told["hangs_at"]))
        first, second = map(run_from, told["runs"])
        if first.error:
            raise NotAudited(f"it raises {first.error}")
        _check_answered(second)
        self.clean, self._second = first, second
        self.call = replace(self.call, effects=first.effects, undone=left_undone(first.effects))
        return is_new((*signature_of(first.effects), *sorted(signature_of(second.effects))))

    def finish(self) -> None:
        """Compare, and let the body die."""
        told = self._fork(lambda: run_once(self._body, LIMIT))
        if "runs" in told:
            self.noise = noise_of(self.clean, run_from(told["runs"][0]))
        twice = of_second_delivery(self.clean, self._second, self.noise) if self._second is not None else []
        found = [*twice] if "twice" in self._kinds else []
        if "crash" in self._kinds:
            found += self._deaths(twice)
        self.call = replace(self.call, findings=tuple(found))

    def _deaths(self, twice: list[Finding]) -> list[Finding]:
        found: list[Finding] = []
        points = death_points(self.clean.effects, MOST_POINTS)
        tried, unfinished = 0, dict[str, None]()
        for point in points:
            if now() > self._until:
                break
            try:
                found += self._death(point, [*twice, *found])
            except NotAudited as reason:
                unfinished[str(reason)] = None
            tried += 1
        self.call = replace(self.call, points=tried, points_left=len(points) - tried, unfinished=tuple(unfinished))
        return found

    def _death(self, point: int, known: list[Finding]) -> list[Finding]:
        told = self._fork(lambda: die_after(self._body, LIMIT, point, self.clean.seconds))
        if "hangs_at" in told:
            return [of_hanging(self.clean, point, told["hangs_at"])]
        dead = [effect_from(effect) for effect in told["dead"]]
        redelivered = run_from(told["runs"][0])
        _check_answered(redelivered)
        return of_death(self.clean, dead, redelivered, self.noise, known)

    def _fork(self, work: Callable[[], None]) -> dict[str, Any]:
        # Between two shadows, and not by a timer: a thread beside the forks is what must not be.
        if self._slow is not None and now() - self._began > SLOW:
            self._slow()
            self._slow = None
        if self._sequences is None:
            self._sequences = Sequences()
        with pinned(self._sequences), redis_put_back():
            return forked(work, LIMIT)


def _check_answered(again: BodyRun) -> None:
    """A message that comes again needs a double that answers again."""
    if again.unanswered:
        raise NotAudited(f"the double of the test ({again.unanswered}) has no answer for a message that comes again")


def _at(where: str) -> str:
    return f": it is at {where}" if where else ""
