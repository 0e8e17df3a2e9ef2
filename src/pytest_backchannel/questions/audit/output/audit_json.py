"""The audit as JSON: the schema is documented in ``docs/how-to/audit-a-suite.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..audit_data import AuditedCall, Finding, to_plain
from ..audit_options import AuditOptions
from ..run_audit import RunAudit
from ..weighing.task_verdicts import TaskVerdict
from .audit_test import code_to_show

VERSION = 1


def write_audit(audit: RunAudit, options: AuditOptions, target: str) -> None:
    """Write the file; its folder is made.

    Raises:
        OSError: it can't be written.
    """
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(audit_data(audit, options), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def audit_data(audit: RunAudit, options: AuditOptions) -> dict[str, Any]:
    """What stands in the file."""
    calls = audit.distinct()
    return {
        "version": VERSION,
        "kinds": list(options.kinds),
        "seconds": round(audit.seconds, 2),
        "known": len(audit.known),
        "tasks": [_task(verdict, audit, calls) for verdict in audit.verdicts(options)],
        "not_run": sorted(set(audit.known) - set(audit.ran)),
    }


def _task(verdict: TaskVerdict, audit: RunAudit, calls: list[AuditedCall]) -> dict[str, Any]:
    known = audit.known.get(verdict.task)
    own = [call for call in calls if call.task == verdict.task]
    return {
        "task": verdict.task,
        "where": "" if known is None else known.where,
        "acks": "" if known is None else known.acks,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "ran": audit.ran[verdict.task],
        "half_done": verdict.undone,
        "causes": [
            {
                **to_plain(cause.finding),
                "tests": list(cause.tests),
                "paste": _paste(own, cause.finding, cause.tests[0], "early" if known is None else known.acks),
            }
            for cause in verdict.causes
        ],
        "calls": [
            {
                "call": call.call,
                "test": call.test,
                "effects": [f"{effect.label} ({effect.where})" for effect in call.effects],
                "deaths": call.points,
                "deaths_left": call.points_left,
                "unfaithful": call.unfaithful,
                "unfinished": list(call.unfinished),
            }
            for call in own
        ],
        "not_audited": dict(audit.skipped.get(verdict.task, {})),
    }


def _paste(calls: list[AuditedCall], finding: Finding, test: str, acks: str) -> str:
    call = next((call for call in calls if call.test == test), None)
    return "" if call is None or finding.level == "small" else code_to_show(call, finding, acks=acks)
