"""The audit at the end of a run: its parts are told and judged, and its files written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.output.audit_found import AuditFound
from ...questions.audit.output.audit_json import VERSION, write_audit
from .audit_of_run import AuditOfRun
from .audit_part import AuditPart
from .rollback_of_run import RollbackOfRun


class WholeAudit:
    """What the process of the run, and not a worker of pytest-xdist, knows of all tests.

    Args:
        config: of the run.

    Attributes:
        parts: in the order in which they are told.
        written: whether each file that is asked for could be.
        found: what was found, once the run has ended; None where no test has told anything.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._root = str(config.rootpath)
        self._of_tasks = AuditOfRun(config)
        self.parts: list[AuditPart] = [self._of_tasks, RollbackOfRun(config)]
        self.written = True
        self.found: AuditFound | None = None

    @property
    def fine(self) -> bool:
        """Whether all is as it is wanted."""
        return all(part.fine for part in self.parts)

    def finish(self) -> None:
        """Weigh what all tests have told, write the files, and judge."""
        ran = [part for part in self.parts if part.ran]
        data: dict[str, Any] = {"version": VERSION, "kinds": list(self._options.kinds)}
        for part in ran:
            data |= part.tell()
        if ran:
            of_tasks = self._of_tasks
            self.found = AuditFound(data=data, words=of_tasks.words, figures=of_tasks.figures, root=self._root)
            ran[0].lines += self._write(self.found)
        for part in ran:
            part.judge()

    def _write(self, found: AuditFound) -> Iterator[str]:
        """Write each file that is asked for; a line for each, which says where it is, or why it is not."""
        for target, write in ((self._options.json, _json), (self._options.html, _page)):
            if target:
                try:
                    yield write(found, target)
                except OSError as error:
                    self.written = False
                    yield f"FAILED: {target} can't be written: {error}. Fix: another place for it."


def _json(found: AuditFound, target: str) -> str:
    write_audit(found.data, target)
    return f"The audit as JSON: {target}"


def _page(found: AuditFound, target: str) -> str:
    from ...questions.report.formats.html_page import write_audit_page  # which needs Jinja2

    return write_audit_page(found, target)
