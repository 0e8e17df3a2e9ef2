"""The audit at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

from typing import Any

import pytest

from ...errors import UnreadableReport
from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.output.audit_json import write_audit
from ...questions.audit.output.audit_text import TITLE, audit_lines
from ...questions.audit.run_audit import RunAudit
from ...questions.audit.weighing.task_verdicts import fresh, mended
from ...questions.report.baseline import read_baseline


def known_findings(config: pytest.Config) -> frozenset[str]:
    """The keys of the baseline; none where it is not given.

    Raises:
        pytest.UsageError: it can't be read.
    """
    file = options_of(config).baseline
    try:
        return read_baseline(file) if file else frozenset()
    except UnreadableReport as error:
        raise pytest.UsageError(f"--backchannel-baseline: {error}") from None


class AuditOfRun:
    """What all tests have told.

    Args:
        config: of the run.
        baseline: the keys of what is known.

    Attributes:
        lines: what to print, once it has ended.
        written: whether the JSON file could be, where it is asked for.
        fine: whether there is nothing that is not in the baseline; without one nothing fails.
    """

    TITLE = TITLE

    def __init__(self, config: pytest.Config, baseline: frozenset[str] = frozenset()) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._file = options_of(config).baseline
        self._baseline = baseline
        self._audit = RunAudit()
        self._ran = False
        self.lines: list[str] = []
        self.written = True
        self.fine = True

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

    def finish(self) -> None:
        """Say what was found, and write the JSON file."""
        if not self._ran or not self._options.wants("twice", "crash"):
            return
        if not self._audit.ran:
            self.lines.append("No task ran in these tests, so nothing is audited.")
            return
        self.lines += audit_lines(self._audit, self._options, self._baseline)
        if self._options.json:
            self._write(self._options.json)
        if self._file:
            self._judge()

    def _write(self, target: str) -> None:
        try:
            write_audit(self._audit, self._options, target, self._baseline)
            self.lines.append(f"All of it, with a test to paste for each: {target}")
        except OSError as error:
            self.written = False
            self.lines.append(f"FAILED: {target} can't be written: {error}. Fix: another place for it.")

    def _judge(self) -> None:
        verdicts = self._audit.verdicts(self._options)
        count = len(fresh(verdicts, self._baseline))
        if count:
            self.fine = False
            self.lines.append(f"FAILED: {count} finding{'' if count == 1 else 's'} (BREAKS) not in {self._file}.")
        everything = {"twice", "crash"} <= set(self._options.kinds)
        gone = mended(verdicts, self._baseline) if everything else []
        if gone:
            self.lines.append(
                f"{len(gone)} of the baseline not found any more, such as {gone[0]}: write it anew, by 'backchannel "
                "report baseline'."
            )
