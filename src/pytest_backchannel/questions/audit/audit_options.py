"""What of the audit is asked for, and how much of it: plain values, checked where they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

#: What can be tried: the message delivered twice, a death after each effect, what is sent from inside a transaction.
KINDS = ("twice", "crash", "rollback")


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What ``--backchannel-audit`` asks for.

    Attributes:
        kinds: what is tried, of :data:`KINDS`.
        allow: why the findings about a task are intended, by a pattern of its name.
        outward: patterns of mocks, such as ``shop.gateway.charge``, that stand for something outside of the project.
        json: the file of the findings as JSON; empty for none.
        html: the file of the findings as a page; empty for none.
        fail_under: the share of the tasks that ran that has to be audited without a BREAKS, 0 to 100; None where it
            does not matter.
        task_seconds: how long the audit of one task may take in a run, in seconds of processor time.
        suite_seconds: how long all audits may take in one process of the run, in the same.

    Example:
        >>> AuditOptions(kinds=("twice",)).wants("crash")
        False
    """

    kinds: tuple[str, ...] = KINDS
    allow: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    outward: tuple[str, ...] = ()
    json: str = ""
    html: str = ""
    fail_under: float | None = None
    task_seconds: float = 10.0
    suite_seconds: float = 300.0

    def wants(self, *kinds: str) -> bool:
        """Whether one of these is asked for."""
        return not set(kinds).isdisjoint(self.kinds)

    def reason(self, task: str) -> str:
        """Why the findings about a task are intended; empty where they are not."""
        return next((reason for pattern, reason in self.allow.items() if fnmatchcase(task, pattern)), "")
