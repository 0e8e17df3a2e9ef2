"""What breaks the tasks that ran, told at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pytest

from ...questions.audit.audited_share import share_of
from ...questions.audit.output.audit_json import audit_data
from ...questions.audit.output.audit_text import TITLE, audit_lines, figures
from ...questions.audit.run_audit import RunAudit
from ...questions.audit.weighing.task_verdicts import TaskVerdict, fresh, mended, without_known
from .audit_part import AuditPart
from .audited_tests import AuditedTests


class AuditOfRun(AuditPart):
    """What a second delivery and a death do to the tasks that ran.

    Args:
        config: of the run.

    Attributes:
        words: the verdict of each task, without what the baseline knows, once it is told.
        figures: how much was audited, in one line.
    """

    TITLE = TITLE
    CARRIED = AuditedTests.CARRIED

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._audit = RunAudit()
        self.words: dict[str, str] = {}
        self.figures = ""

    @cached_property
    def _verdicts(self) -> list[TaskVerdict]:
        """Of all tests: it is asked for once they have run."""
        return self._audit.verdicts(self.options)

    @cached_property
    def _told(self) -> list[TaskVerdict]:
        """The same, without what the baseline knows."""
        return [without_known(verdict, self.baseline) for verdict in self._verdicts]

    @property
    def header(self) -> str:
        """What is done, and how long it may take."""
        options = self.options
        if not options.wants("twice", "crash"):
            return ""
        return (
            f"backchannel: audits the tasks that run ({', '.join(options.kinds)}): at most {options.task_seconds:g} s "
            f"for each, {options.suite_seconds:g} s for all"
        )

    def take(self, told: Any, test: str) -> None:
        """Add it to what other tests have told."""
        self._audit.add(told)

    def tell(self) -> dict[str, Any]:
        """Say of each task what was found."""
        if self._audit.ran:
            self.words = {verdict.task: verdict.verdict for verdict in self._told}
            self.figures = figures(self._audit, self._told)
            self.lines += audit_lines(self._audit, self.options, self.baseline)
        else:
            self.lines.append("No task ran in these tests, so nothing is audited.")
        return audit_data(self._audit, self.options, self.baseline)

    def judge(self) -> None:
        """Fail of a share that is too small, and, with a baseline, of what breaks a task and is not in it."""
        self._judge_share()
        if self.baseline_file:
            self._judge_findings()

    def _judge_share(self) -> None:
        wanted = self.options.fail_under
        if wanted is None or not self._audit.ran:
            return
        share = share_of(self.words.values(), len(self._audit.ran))
        if share.percent < wanted:
            self.fail(f"{share}, and {wanted:g} % is wanted.")
        else:
            self.lines.append(f"{share}; {wanted:g} % is wanted.")

    def _judge_findings(self) -> None:
        count = len(fresh(self._verdicts, self.baseline))
        if count:
            self.fail(f"{count} finding{'' if count == 1 else 's'} (BREAKS) not in {self.baseline_file}.")
        everything = {"twice", "crash"} <= set(self.options.kinds)
        gone = mended(self._verdicts, self.baseline) if everything else []
        if gone:
            self.lines.append(
                f"{len(gone)} of the baseline not found any more, such as {gone[0]}: write it anew, by 'backchannel "
                "report baseline'."
            )
