"""The summary at the end of a run: what went unseen in tests that use none of the fixtures."""

from __future__ import annotations

from collections import Counter

import pytest


class ObservedSummary:
    """Gathers what was observed, from this process or from the workers of pytest-xdist, and prints it."""

    def __init__(self) -> None:
        self._observed: list[dict[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what the report of a teardown carries."""
        for entry in getattr(report, "backchannel_observed", ()):
            self._observed.append({**entry, "test": report.nodeid})

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print each kind of problem once, with the tests in which it was seen."""
        if not self._observed:
            return
        terminalreporter.section("backchannel: unseen behind the request")
        by_kind: dict[tuple[str, str, str], list[str]] = {}
        for entry in self._observed:
            key = entry["slug"], entry["where"], entry["text"].splitlines()[0]
            by_kind.setdefault(key, []).append(entry["test"])
        for (slug, where, text), tests in sorted(by_kind.items()):
            names = list(Counter(tests))
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            terminalreporter.write_line(f"{slug}: {text}" + (f" [{where}]" if where else ""))
            terminalreporter.write_line(f"    in {names[0]}{more}")
        terminalreporter.write_line("None of it failed a test; 'backchannel_strict = true' makes it.")
