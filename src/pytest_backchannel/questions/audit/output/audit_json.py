"""The audit as JSON: the schema is documented in ``docs/how-to/audit-a-suite.md``."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from ....errors import UnreadableReport
from ..audit_data import AuditedCall, Finding, to_plain
from ..audit_options import AuditOptions
from ..finding_keys import keys_in
from ..run_audit import RunAudit
from ..weighing.task_verdicts import TaskVerdict
from .audit_test import code_to_show

VERSION = 1


def write_audit(data: Mapping[str, Any], target: str) -> None:
    """Write the file; its folder is made.

    Args:
        data: what stands in it.
        target: the file.

    Raises:
        OSError: it can't be written.
    """
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")  # a test's data may be no UTF-8: JSON's escape


def audit_data(audit: RunAudit, options: AuditOptions, baseline: Container[str] = ()) -> dict[str, Any]:
    """What stands in the file of the tasks that ran.

    Args:
        audit: of the run.
        options: what was asked for.
        baseline: the keys of what is known.
    """
    calls = audit.distinct()
    return {
        "version": VERSION,
        "kinds": list(options.kinds),
        "seconds": round(audit.seconds, 2),
        "known": len(audit.known),
        "tasks": [_task(verdict, audit, calls, baseline) for verdict in audit.verdicts(options)],
        "not_run": sorted(set(audit.known) - set(audit.ran)),
    }


def is_audit(path: str | Path) -> bool:
    """Whether a file is JSON of the audit, and not of the report; what can't be read is neither.

    Args:
        path: of the file.
    """
    return "kinds" in _loaded(path)


def read_keys(path: str | Path) -> list[str]:
    """The keys of what fails a run, for a baseline.

    Args:
        path: of a file that ``--backchannel-audit-json`` has written.

    Raises:
        UnreadableReport: it is of another version.
    """
    try:
        return keys_in(_loaded(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise UnreadableReport(
            f"{path} can't be read as an audit ({error!r} is missing or is something else): write it anew by pytest "
            "--backchannel-audit-json"
        ) from error


def _loaded(path: str | Path) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _task(verdict: TaskVerdict, audit: RunAudit, calls: list[AuditedCall], baseline: Container[str]) -> dict[str, Any]:
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
                "key": cause.key,
                "in_baseline": cause.key in baseline,
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
