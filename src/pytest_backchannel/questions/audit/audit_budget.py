"""How much is audited: each distinct sequence of effects of a task once, within the seconds that are given."""

from __future__ import annotations

from collections import Counter

from .audit_options import AuditOptions

MOST_POINTS = 12
"""After how many effects of one call its worker dies, at most."""
MOST_WAYS = 6
"""How many sequences of effects of one task are audited, at most."""
NO_TIME = "no time was left for it"
# So many calls of a task that did nothing new, or could not be audited for a known reason, one after another, and it is
# only looked at in other test modules.
_REPEATS = 5
_MOST_REPEATS = 20


class Budget:
    """What is left of it, in this process of the run.

    Args:
        options: what is asked for.
    """

    def __init__(self, options: AuditOptions) -> None:
        self._options = options
        self._spent: Counter[str] = Counter()
        self._ways: dict[str, set[tuple[str, ...]]] = {}
        self._repeats: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._modules: dict[str, set[str]] = {}
        self._reasons: dict[str, set[str]] = {}
        self.seconds = 0.0

    def spend(self, task: str, seconds: float) -> None:
        """So much was spent on a task, as :class:`.Stopwatch` counts."""
        self._spent[task] += seconds  # type: ignore[assignment]  # a Counter of seconds
        self.seconds += seconds

    def refusal(self, task: str) -> str:
        """Why there is no time for a task; empty where there is."""
        if self.seconds >= self._options.suite_seconds:
            return f"{NO_TIME} (backchannel_audit_suite_seconds)"
        if self._spent[task] >= self._options.task_seconds:
            return f"{NO_TIME} (backchannel_audit_task_seconds)"
        return ""

    def wants(self, task: str, test: str) -> bool:
        """Whether a call of this task may show something new."""
        if len(self._ways.get(task, ())) >= MOST_WAYS or self._repeats[task] >= _MOST_REPEATS:
            return False
        return self._in_a_row[task] < _REPEATS or _module(test) not in self._modules.get(task, ())

    def refused(self, task: str, test: str, reason: str) -> None:
        """A call of this task could not be audited: to try it again costs, and ends for the same reason."""
        if reason.startswith(NO_TIME):
            return  # nothing was tried
        self._modules.setdefault(task, set()).add(_module(test))
        reasons = self._reasons.setdefault(task, set())
        self._in_a_row[task] = self._in_a_row[task] + 1 if reason in reasons else 0
        reasons.add(reason)

    def known(self, task: str) -> frozenset[tuple[str, ...]]:
        """The sequences of effects that were audited."""
        return frozenset(self._ways.get(task, ()))

    def is_new(self, task: str, test: str, way: tuple[str, ...]) -> bool:
        """Whether this sequence of effects was not audited yet; it is, from now on."""
        self._modules.setdefault(task, set()).add(_module(test))
        ways = self._ways.setdefault(task, set())
        if way in ways:
            self._repeats[task] += 1
            self._in_a_row[task] += 1
            return False
        ways.add(way)
        self._in_a_row[task] = 0
        return True

    def left(self, task: str) -> float:
        """How many seconds there are for a task."""
        return max(
            0.0,
            min(self._options.task_seconds - self._spent[task], self._options.suite_seconds - self.seconds),
        )


def _module(test: str) -> str:
    return test.partition("::")[0]
