"""What worker processes of a test say that they did: each line of the file into which they report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..facts import note

# What Celery's tracer has called by then, where the task overrides it.
_HOOKS = {"SUCCESS": ("on_success", "after_return"), "FAILURE": ("on_failure", "after_return"), "RETRY": ("on_retry",)}
_OUTCOMES = {"SUCCESS": "succeeded", "FAILURE": "failed", "RETRY": "retried"}


def note_reports(path: Path) -> None:
    """Note what the file says; a line that is cut off, by a worker that was killed, says nothing.

    Args:
        path: the file, which need not be there.
    """
    reader = _Reader()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            report = json.loads(line)
        except ValueError:
            continue
        read = _READERS.get(report.get("kind"))
        if read is not None:
            read(reader, report)


class _Reader:
    def __init__(self) -> None:
        self.begun: Counter[tuple[str, int]] = Counter()

    def published(self, report: Mapping[str, Any]) -> None:
        name = report["raw"].get("headers", {}).get("task")
        if name:
            note(f"task:{name}", "enqueued")
            if report["where"]:
                note(f"task:{name}", "enqueued_at", f"{report['where'][0]}:{report['where'][1]}")

    def started(self, report: Mapping[str, Any]) -> None:
        subject = f"task:{report['task']}"
        note(subject, "real")
        note(subject, "hook:before_start")
        key = report["id"], report["retries"]
        self.begun[key] += 1
        if self.begun[key] == 2:
            note(subject, "twice")

    def ended(self, report: Mapping[str, Any]) -> None:
        subject = f"task:{report['task']}"
        if report["state"] in _OUTCOMES:
            note(subject, _OUTCOMES[report["state"]])
        for hook in _HOOKS.get(report["state"], ()):
            note(subject, f"hook:{hook}")

    def settled(self, report: Mapping[str, Any]) -> None:
        subject = f"task:{report['task']}"
        if report["state"] == "REVOKED":
            note(subject, "expired" if report.get("reason") == "expired" else "revoked")
        elif report["state"] == "REJECTED":
            note(subject, "rejected")
        else:
            note(subject, "failed")


_READERS: dict[str, Callable[[_Reader, Mapping[str, Any]], None]] = {
    "published": _Reader.published,
    "started": _Reader.started,
    "ended": _Reader.ended,
    "settled": _Reader.settled,
}
