"""The audit at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

from typing import Any

import pytest

from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.output.audit_json import write_audit
from ...questions.audit.output.audit_text import TITLE, audit_lines
from ...questions.audit.run_audit import RunAudit


class AuditOfRun:
    """What all tests have told.

    Args:
        config: of the run.
    """

    TITLE = TITLE

    def __init__(self, config: pytest.Config) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._audit = RunAudit()
        self._ran = False

    @property
    def header(self) -> str:
        """What is done, and how long it may take."""
        options = self._options
        if not options.wants("twice", "crash"):
            return ""
        return (
            f"backchannel: audits the tasks that run ({', '.join(options.kinds)}): at most {options.task_seconds:g} s "
            f"for each, {options.suite_seconds:g} s for all"
        )

    def add(self, report: Any) -> None:
        """Take what the report of a test's teardown carries."""
        told = getattr(report, "backchannel_audit", None)
        if told is not None:
            self._ran = True
            self._audit.add(told)

    def lines(self) -> list[str]:
        """What to print; the JSON file is written, too."""
        if not self._ran or not self._options.wants("twice", "crash"):
            return []
        if not self._audit.ran:
            return ["No task ran in these tests, so nothing is audited."]
        lines = audit_lines(self._audit, self._options)
        if self._options.json:
            try:
                write_audit(self._audit, self._options, self._options.json)
                lines.append(f"All of it, with a test to paste for each: {self._options.json}")
            except OSError as error:
                lines.append(f"FAILED: {self._options.json} can't be written: {error}. Fix: another place for it.")
        return lines
