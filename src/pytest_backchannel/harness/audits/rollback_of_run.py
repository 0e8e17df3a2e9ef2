"""What is sent inside a transaction, told at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.rollback.rollback_text import TITLE, rollback_data, rollback_lines
from ...questions.audit.rollback.sends_inside import SendInside, from_data


class RollbackOfRun:
    """What all tests have told.

    Args:
        config: of the run.
    """

    TITLE = TITLE
    header = ""  # it costs next to nothing

    def __init__(self, config: pytest.Config) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._sends: dict[SendInside, list[str]] = {}
        self._ran = False
        self._began = time.time()

    def add(self, report: pytest.TestReport) -> None:
        """Take what the report of a test's teardown carries."""
        told: list[list[Any]] | None = getattr(report, "backchannel_rollback", None)
        if told is not None:
            self._ran = True
            for values in told:
                self._sends.setdefault(from_data(values), []).append(report.nodeid)

    def lines(self) -> list[str]:
        """What to print; what was found stands in the audit's JSON file, too."""
        if not self._ran:
            return []
        lines = list(rollback_lines(self._sends))
        if self._options.json:
            try:
                self._write(Path(self._options.json))
            except OSError as error:
                lines.append(f"FAILED: {self._options.json} can't be written: {error}. Fix: another place for it.")
        return lines

    def _write(self, path: Path) -> None:
        # What else the audit has found stands there already, if it is of this run.
        fresh = path.exists() and path.stat().st_mtime >= self._began
        data: dict[str, Any] = {"version": 1, "kinds": ["rollback"]}
        if fresh:
            data = json.loads(path.read_text(encoding="utf-8"))
        path.parent.mkdir(parents=True, exist_ok=True)
        data["rollback"] = rollback_data(self._sends)
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
