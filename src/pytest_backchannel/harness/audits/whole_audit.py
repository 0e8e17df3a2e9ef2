"""The audit at the end of a run: its parts are told and judged, and its files written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
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
    """

    def __init__(self, config: pytest.Config) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self.parts: list[AuditPart] = [AuditOfRun(config), RollbackOfRun(config)]
        self.written = True

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
            ran[0].lines += self._write(data)
        for part in ran:
            part.judge()

    def _write(self, data: dict[str, Any]) -> Iterator[str]:
        target = self._options.json
        if target:
            try:
                write_audit(data, target)
                yield f"The audit as JSON, with a test to paste for each cause: {target}"
            except OSError as error:
                self.written = False
                yield f"FAILED: {target} can't be written: {error}. Fix: another place for it."
