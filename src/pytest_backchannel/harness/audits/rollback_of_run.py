"""What is sent inside a transaction, told at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.finding_keys import send_keys
from ...questions.audit.rollback.rollback_text import TITLE, rollback_data, rollback_lines
from ...questions.audit.rollback.sends_inside import SendInside, from_data


class RollbackOfRun:
    """What all tests have told.

    Args:
        config: of the run.
        baseline: the keys of what is known.

    Attributes:
        lines: what to print, once it has ended; what was found stands in the audit's JSON file, too.
        written: whether that file could be, where it is asked for.
        fine: whether there is nothing that is not in the baseline; without one nothing fails.
    """

    TITLE = TITLE
    header = ""  # it costs next to nothing

    def __init__(self, config: pytest.Config, baseline: frozenset[str] = frozenset()) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._root = config.rootpath
        self._file = options_of(config).baseline
        self._baseline = baseline
        self._sends: dict[SendInside, list[str]] = {}
        self._ran = False
        self._began = time.time()
        self.lines: list[str] = []
        self.written = True
        self.fine = True

    def add(self, report: pytest.TestReport) -> None:
        """Take what the report of a test's teardown carries."""
        told: list[list[Any]] | None = getattr(report, "backchannel_rollback", None)
        if told is not None:
            self._ran = True
            for values in told:
                self._sends.setdefault(from_data(values), []).append(report.nodeid)

    def finish(self) -> None:
        """Say what was found, and add it to the audit's JSON file."""
        if not self._ran:
            return
        keys = send_keys(self._sends, self._root)
        known = {one for one, key in keys.items() if key in self._baseline}
        self.lines += rollback_lines(self._sends, known)
        if self._options.json:
            try:
                self._write(Path(self._options.json), keys)
            except OSError as error:
                self.written = False
                self.lines.append(f"FAILED: {self._options.json} can't be written: {error}. Fix: another place for it.")
        count = sum(not one.allowed for one in self._sends.keys() - known)
        if self._file and count:
            self.fine = False
            self.lines.append(
                f"FAILED: {count} {'line sends' if count == 1 else 'lines send'} inside a transaction, and "
                f"{'is' if count == 1 else 'are'} not in {self._file}."
            )

    def _write(self, path: Path, keys: dict[SendInside, str]) -> None:
        # What else the audit has found stands there already, if it is of this run.
        fresh = path.exists() and path.stat().st_mtime >= self._began
        data: dict[str, Any] = {"version": 1, "kinds": ["rollback"]}
        if fresh:
            data = json.loads(path.read_text(encoding="utf-8"))
        path.parent.mkdir(parents=True, exist_ok=True)
        data["rollback"] = rollback_data(self._sends, keys, self._baseline)
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
