"""What is sent inside a transaction, told at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

from typing import Any

import pytest

from ...questions.audit.finding_keys import send_keys
from ...questions.audit.rollback.rollback_text import TITLE, rollback_data, rollback_lines
from ...questions.audit.rollback.sends_inside import SendInside, from_data
from .audit_part import AuditPart
from .rollback_tests import RollbackTests


class RollbackOfRun(AuditPart):
    """The lines that send inside a transaction of the code's own."""

    TITLE = TITLE
    CARRIED = RollbackTests.CARRIED

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._root = config.rootpath
        self._sends: dict[SendInside, list[str]] = {}
        self._known: set[SendInside] = set()

    def take(self, told: Any, test: str) -> None:
        """Note the test with each line that it came by."""
        for values in told:
            self._sends.setdefault(from_data(values), []).append(test)

    def tell(self) -> dict[str, Any]:
        """Say of each line what it sends."""
        keys = send_keys(self._sends, self._root)
        self._known = {one for one, key in keys.items() if key in self.baseline}
        self.lines += rollback_lines(self._sends, self._known)
        return {"rollback": rollback_data(self._sends, keys, self.baseline)}

    def judge(self) -> None:
        """With a baseline, fail of what is not in it, and not intended."""
        count = sum(not one.allowed for one in self._sends.keys() - self._known)
        if self.baseline_file and count:
            self.fail(
                f"{count} {'line sends' if count == 1 else 'lines send'} inside a transaction, and "
                f"{'is' if count == 1 else 'are'} not in {self.baseline_file}."
            )
