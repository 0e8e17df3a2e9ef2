"""The shadows of one call: clean twice, a death after each effect that lasts, and clean once more for the noise."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from functools import partial
from typing import Any

from .audit_budget import MOST_POINTS
from .audit_data import AuditedCall, BodyRun, Finding, effect_from, run_from, way_of
from .shadows.forking import NotAudited, Patience, forked
from .shadows.left_files import files_removed
from .shadows.parents_databases import Sequences, check_databases, pinned
from .shadows.shadow_run import Body, die_after, run_once, run_twice
from .shadows.stopwatch import Stopwatch
from .shadows.warm_parent import warm_parent
from .stores.redis_put_back import redis_put_back
from .weighing.call_findings import death_points, left_undone, of_death, of_hanging, of_second_delivery
from .weighing.noise import Noise, noise_of
from .weighing.steadiness import leaves_rows

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
        seconds: how long all of it may take, as :class:`.Stopwatch` counts.
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
        self._watch = Stopwatch()
        self._seconds = seconds
        self._slow: Callable[[], None] | None = slow
        self._second = BodyRun()
        self._steady = False
        self._dead: list[tuple[int, dict[str, Any]]] = []
        self._sequences: Sequences | None = None

    def look(self, is_new: Callable[[tuple[str, ...]], bool], known: Container[tuple[str, ...]] = ()) -> bool:
        """Run the body twice in a shadow.

        Args:
            is_new: whether a way of the task, as :func:`.way_of` gives it, was not audited yet.
            known: the ways that were.

        Returns:
            Whether there is something new to be audited.

        Raises:
            NotAudited: nothing can be said.
        """
        check_databases()
        warm_parent()
        told = self._fork(lambda: run_twice(self._body, LIMIT, known))
        if "hangs_at" in told:
            raise NotAudited(f"a clean run takes longer than {LIMIT:g} s" + _at(told["hangs_at"]))
        first, second = map(run_from, told["runs"])
        if first.error:
            raise NotAudited(f"it raises {first.error}")
        _check_answered(first, second)
        self.clean, self._second, self._steady = first, second, bool(told.get("steady"))
        self.call = replace(self.call, effects=first.effects, undone=left_undone(first.effects))
        return is_new(way_of(first, second))

    def finish(self) -> None:
        """Let the body die, and compare; look for the noise where something has to be known of it.

        It only ever hides differences: where there is none without it, there is none with it.
        """
        if "crash" in self._kinds:
            self._die()
        found = self._found()
        if self._has_noise(found):
            told = self._fork(lambda: run_once(self._body, LIMIT))
            if "runs" in told:
                self.noise = noise_of(self.clean, run_from(told["runs"][0]))
                found = self._found()
        self.call = replace(self.call, findings=tuple(found))

    def _die(self) -> None:
        points = death_points(self.clean.effects, MOST_POINTS)
        tried, unfinished = 0, dict[str, None]()
        for point in points:
            if self._watch.seconds > self._seconds:
                break
            try:
                told = self._fork(partial(die_after, self._body, LIMIT, point, self.clean.seconds))
                for again in told.get("runs", ()):
                    _check_answered(self.clean, run_from(again))
                self._dead.append((point, told))
            except NotAudited as reason:
                unfinished[str(reason)] = None
            tried += 1
        self.call = replace(self.call, points=tried, points_left=len(points) - tried, unfinished=tuple(unfinished))

    def _found(self) -> list[Finding]:
        """What a second delivery and the deaths have changed, so far as it is no noise."""
        twice = of_second_delivery(self.clean, self._second, self.noise)
        found = [*twice] if "twice" in self._kinds else []
        deaths: list[Finding] = []
        for point, told in self._dead:
            deaths += self._of_death(point, told, [*twice, *deaths])
        return found + deaths

    def _of_death(self, point: int, told: dict[str, Any], known: list[Finding]) -> list[Finding]:
        if "hangs_at" in told:
            return [of_hanging(self.clean, point, told["hangs_at"])]
        dead = [effect_from(effect) for effect in told["dead"]]
        redelivered = run_from(told["runs"][0])
        return of_death(self.clean, dead, redelivered, self.noise, known)

    def _has_noise(self, found: list[Finding]) -> bool:
        """Whether noise may be among what was found, or in the rows that are compared with those of the real run."""
        if any(finding.after for finding in found) or not leaves_rows(self.clean, self._second):
            return True
        return bool(self.clean.after) and not self._steady

    def _fork(self, work: Callable[[], None]) -> dict[str, Any]:
        patience = None if self._slow is None else Patience(SLOW - self._watch.clock, self._is_slow)
        if self._sequences is None:
            self._sequences = Sequences()
        with pinned(self._sequences), redis_put_back(), files_removed():
            return forked(work, LIMIT, patience)

    def _is_slow(self) -> None:
        if self._slow is not None:
            self._slow()
            self._slow = None


def _check_answered(first: BodyRun, again: BodyRun) -> None:
    """A message that comes again needs a double that answers again, as it has answered the first one."""
    if again.unanswered and not first.unanswered:
        raise NotAudited(f"the double of the test ({again.unanswered}) has no answer for a message that comes again")


def _at(where: str) -> str:
    return f": it is at {where}" if where else ""
