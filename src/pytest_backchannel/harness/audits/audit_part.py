"""What the two parts of the audit have in common at the end of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytest

from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ..asking.known_keys import known_keys


class AuditPart(ABC):
    """What all tests have told of one kind of audit.

    Args:
        config: of the run.

    Attributes:
        ran: whether a test has told anything.
        lines: what to print, once the run has ended.
        fine: whether all is as it is wanted: without a baseline and a wanted share nothing fails.
    """

    TITLE: ClassVar[str]
    CARRIED: ClassVar[str]
    """The attribute of a test's last report that carries what it tells."""

    def __init__(self, config: pytest.Config) -> None:
        self.options = options_of(config).audit or AuditOptions()
        self.baseline = known_keys(config)
        self.baseline_file = options_of(config).baseline
        self.ran = False
        self.lines: list[str] = []
        self.fine = True

    @property
    def header(self) -> str:
        """What makes the run longer; empty where it costs next to nothing."""
        return ""

    def add(self, report: pytest.TestReport) -> None:
        """Take what the report of a test's teardown carries."""
        told = getattr(report, self.CARRIED, None)
        if told is not None:
            self.ran = True
            self.take(told, report.nodeid)

    @abstractmethod
    def take(self, told: Any, test: str) -> None:
        """Take what one test has told, as plain values.

        Args:
            told: by the test.
            test: its node id.
        """

    @abstractmethod
    def tell(self) -> dict[str, Any]:
        """Say what was found.

        Returns:
            What of it stands in the JSON file.
        """

    @abstractmethod
    def judge(self) -> None:
        """Say why the run fails, and what of the baseline is no more."""

    def fail(self, why: str) -> None:
        """Let the run fail.

        Args:
            why: with figures.
        """
        self.fine = False
        self.lines.append(f"FAILED: {why}")
