"""The audit of a run: what the tests of all its processes have told, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .audit_budget import NO_TIME
from .audit_data import AuditedCall, KnownTask, call_from, to_plain
from .audit_options import AuditOptions
from .auditing import TestAudit
from .weighing.task_verdicts import TaskVerdict, verdicts_of


@dataclass
class RunAudit:
    """What is known when the run has ended.

    Attributes:
        calls: the calls that were audited, each way of a task once.
        ran: how often each task ran.
        skipped: for each task, why calls of it were not audited, and how often.
        known: the tasks that there are.
        seconds: how long the audits of all processes took.
    """

    calls: list[AuditedCall] = field(default_factory=lambda: list[AuditedCall]())
    ran: Counter[str] = field(default_factory=lambda: Counter[str]())
    skipped: dict[str, Counter[str]] = field(default_factory=lambda: dict[str, Counter[str]]())
    known: dict[str, KnownTask] = field(default_factory=lambda: dict[str, KnownTask]())
    seconds: float = 0.0

    def add(self, told: Mapping[str, Any]) -> None:
        """Take what one test has told, as :func:`told_of` gives it."""
        self.calls += [call_from(call) for call in told["calls"]]
        self.ran.update(told["ran"])
        for task, reasons in told["skipped"].items():
            self.skipped.setdefault(task, Counter()).update(reasons)
        self.known.update({name: KnownTask(**task) for name, task in told["known"].items()})
        self.seconds += told["seconds"]

    def distinct(self) -> list[AuditedCall]:
        """Each way of a task once, though two processes of the run have audited it: the one of the first test."""
        found: dict[tuple[Any, ...], AuditedCall] = {}
        for call in sorted(self.calls, key=lambda call: (call.task, call.test)):
            found.setdefault((call.task, call.signature(), call.findings, call.allowed), call)
        return list(found.values())

    def verdicts(self, options: AuditOptions) -> list[TaskVerdict]:
        """What is said of each task that ran."""
        reasons = {task: _by_weight(found) for task, found in self.skipped.items()}
        allowed = {task: options.reason(task) for task in {*self.ran, *reasons}}
        scheduled = {name for name, task in self.known.items() if task.scheduled}
        return verdicts_of(self.distinct(), reasons, allowed, scheduled)


def _by_weight(found: Counter[str]) -> list[str]:
    """The most frequent first; that no time was left comes last, where there was another reason before."""
    return sorted((reason for reason, _ in found.most_common()), key=lambda reason: reason.startswith(NO_TIME))


def told_of(found: TestAudit, known: Mapping[str, KnownTask], seconds: float) -> dict[str, Any]:
    """What one test tells, as plain values, which pytest-xdist carries.

    Args:
        found: what was audited in it.
        known: the tasks that were not told yet.
        seconds: how long its audits took.
    """
    return {
        "calls": [to_plain(call) for call in found.calls],
        "ran": dict(found.ran),
        "skipped": {task: dict(reasons) for task, reasons in found.skipped.items()},
        "known": {name: to_plain(task) for name, task in known.items()},
        "seconds": seconds,
    }
