"""The report at the end of a run: what is known of the project, what all tests did, and where it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ...errors import InventoryFailed
from ...options import options_of
from ...questions.report.as_data import steps_of
from ...questions.report.baseline import closed
from ...questions.report.facts import Fact
from ...questions.report.formats import load
from ...questions.report.items.done import Done, Known
from ...questions.report.making import make_report
from ...questions.report.model import Report, TestRun
from ...restoring import no_collection
from ..asking.known_keys import known_keys
from ..fresh.fresh_worker import child_arguments, child_kinds

if TYPE_CHECKING:
    from ...inventory.child_process import Ahead
    from ...questions.audit.output.audit_found import AuditFound
    from ...source import SourceIndex
    from ...source.tree_beside import TreeBeside

Say = Callable[[str], None]

_WORSE = {"skipped": 0, "passed": 1, "failed": 2, "error": 3}


@dataclass
class _Test:
    outcome: str = "skipped"
    message: str = ""
    story: tuple[Any, ...] = ()


class RunReport:
    """What the process of the run, and not a worker of pytest-xdist, knows of all tests.

    Args:
        config: of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._facts: dict[str, list[Fact]] = {}
        self._tests: dict[str, _Test] = {}
        self._ahead: Ahead | None = None
        self._code: TreeBeside | None = None
        self.failed: InventoryFailed | None = None
        self.report: Report | None = None
        self.lines: list[str] = []
        self.written = True
        self.baseline = known_keys(config)

    # ------------------------------------------------------------------- the tests

    def add(self, report: pytest.TestReport) -> None:
        """Take what the report of one phase of a test says."""
        test = self._tests.setdefault(report.nodeid, _Test())
        outcome = report.outcome if report.when == "call" or not report.failed else "error"
        if (report.when == "call" or report.outcome != "passed") and _WORSE.get(outcome, 0) >= _WORSE[test.outcome]:
            test.outcome = outcome if outcome in _WORSE else test.outcome  # another plugin has more, such as "rerun"
        if report.failed:
            test.message = test.message or _first_line(report)
            test.story = steps_of(getattr(report, "backchannel_story", ())) or test.story
        found = getattr(report, "backchannel_facts", None)
        if found is not None:
            self._facts[report.nodeid] = [(subject, what, detail) for subject, what, detail in found]

    # ----------------------------------------------------------------- the project

    def begin(self) -> None:
        """Begin to ask what the project is, beside the tests."""
        from ..fresh.asked_project import settings_to_read

        given, settings = child_arguments(self._config), settings_to_read(self._config)
        if given["folder"] is not None and settings and not self._config.getoption("collectonly", False):
            from ...inventory.child_process import Ahead
            from ...source.tree_beside import TreeBeside

            self._ahead = Ahead(settings, kinds=child_kinds(), **given)
            self._code = TreeBeside(self._config.rootpath)

    def close(self) -> None:
        """End what still asks."""
        if self._ahead is not None:
            self._ahead.end()
        if self._code is not None:
            self._code.end()

    def _known(self, say: Say) -> Known:
        from ..fresh.asked_project import ask_project

        asked = ask_project(self._config, say)
        return Known(
            root=self._config.rootpath,
            celery=asked.celery,
            asgi=asked.asgi,
            index=self._index(say),
            settings=asked.settings,
            not_known=asked.not_known,
        )

    def _index(self, say: Say) -> SourceIndex:
        say("backchannel: reading the project's code …")
        if self._code is not None:
            return self._code.index()
        from ...source import read_tree

        return read_tree(self._config.rootpath)

    # -------------------------------------------------------------------- the end

    def ran(self) -> bool:
        """Whether there was a test."""
        return bool(self._tests)

    def finish(self, say: Say, audit: AuditFound | None = None) -> bool:
        """Make the report, and write it.

        Args:
            say: prints a line at once, of what is waited for.
            audit: what the audit of the run has found; None where there was none.

        Returns:
            Whether all is as it is wanted: enough was reached, and nothing new was left.

        Raises:
            InventoryFailed: what the project is can't be said.
        """
        with no_collection():
            return self._finish(say, audit)

    def _finish(self, say: Say, audit: AuditFound | None) -> bool:
        options = options_of(self._config)
        tests = [
            TestRun(id=test, outcome=one.outcome, message=one.message, story=one.story)
            for test, one in self._tests.items()
        ]
        try:
            known = self._known(say)
        except InventoryFailed as error:
            self.failed = error
            raise
        made = make_report(known, Done(self._facts), tests, omit=options.report_omit, baseline=self.baseline)
        report = self.report = replace(made, audit=audit)
        self._write(report)
        verdicts = list(self._verdicts(report))
        self.lines += verdicts
        self._say_closed(report)
        return not verdicts

    def _write(self, report: Report) -> None:
        written = list(dict.fromkeys(options_of(self._config).reports))
        for name, target in sorted(written, key=lambda one: one[0] not in ("term", "github")):
            try:
                self.lines += load(name).write(report, target)
            except OSError as error:
                self.written = False
                self.lines.append(f"FAILED: the report as {name} can't be written: {error}. Fix: another place for it.")

    def _verdicts(self, report: Report) -> Iterator[str]:
        """Why the run fails."""
        options = options_of(self._config)
        if options.fail_under is not None and report.percent < options.fail_under:
            yield f"FAILED: {report.percent:g} % was reached, and {options.fail_under:g} % is wanted."
        fresh = sum(not gap.in_baseline for gap in report.gaps)
        if options.baseline and fresh:
            yield f"FAILED: {fresh} gap{'' if fresh == 1 else 's'} not in {options.baseline}."

    def _say_closed(self, report: Report) -> None:
        gone = closed(report, self.baseline)
        if gone:
            self.lines.append(
                f"{len(gone)} of the baseline closed, such as {gone[0]}: write it anew, by 'backchannel report "
                "baseline'."
            )


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "") or report.longreprtext).strip()
    return text.splitlines()[0][:300] if text else ""
