"""Audits, with ``--backchannel-audit``, the tasks that each test of this process runs.

Nothing of this is imported without the flag. What was found goes with the report of a test's teardown, as pytest-xdist
carries it from its workers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import pytest

from ...markers import allowed_audits
from ...options import options_of
from ...questions.audit import audited_bodies, audited_mocks
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.auditing import Auditor, known_tasks
from ...questions.audit.run_audit import told_of
from ...source.files import holds_tests

# --- private API: CaptureManager.global_and_fixture_disabled, seen on pytest 8–9, where its own live log uses it: a
# --- test runs, and what is written is captured. Where it is gone, the line stands in what the test has written.


def _not_captured(config: pytest.Config) -> AbstractContextManager[None]:
    manager = config.pluginmanager.getplugin("capturemanager")
    disabled: Any = getattr(manager, "global_and_fixture_disabled", nullcontext)
    found: AbstractContextManager[None] = disabled()
    return found


# --- end of private API


class AuditedTests:
    """From the first test to the last.

    Args:
        config: of the run.
    """

    CARRIED = "backchannel_audit"

    def __init__(self, config: pytest.Config) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._config = config
        self._auditor = Auditor(self._options, self._say, holds_tests(config.rootpath))
        self._bodies: audited_bodies.AuditedBodies | None = None
        self._told: set[str] = set()
        self._seconds = 0.0

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""
        self.watch()
        try:
            allowed = allowed_audits(item)
        except pytest.UsageError:  # with which the test itself fails
            allowed = {}
        self._auditor.begin(item.nodeid, allowed)

    def watch(self) -> None:
        """Stand around the bodies of the tasks that are there by now, once Celery is."""
        if find_spec("celery") is None:
            return
        if self._bodies is None:
            audited_mocks.install()
            self._bodies = audited_bodies.install(self._auditor.around)
        else:
            self._bodies.look()

    def _say(self, line: str) -> None:
        """Tell somebody who sits before a terminal; a log needs no progress, and a worker of pytest-xdist has none."""
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and reporter.isatty and reporter.verbosity >= 0:
            with _not_captured(self._config):
                reporter.ensure_newline()
                reporter.write_line(line)

    def end_body(self, item: pytest.Item) -> None:
        """The body has ended; where the audit has left something behind, the test fails."""
        self._auditor.end_body()

    def end(self, item: pytest.Item) -> dict[str, Any]:
        """A test has ended, and its fixtures are gone.

        Returns:
            What was audited in it, as plain values.
        """
        fresh = known_tasks(self._bodies, self._told) if self._bodies is not None else {}
        self._told |= set(fresh)
        seconds = self._auditor.seconds - self._seconds
        self._seconds = self._auditor.seconds
        return told_of(self._auditor.take(), fresh, seconds)

    def close(self) -> None:
        """The run has ended: stand around nothing any more."""
        if self._bodies is not None:
            audited_bodies.remove()
            audited_mocks.remove()
            self._bodies = None
