"""What a question asks of each test: the same moments for the report, the contract and the audit."""

from __future__ import annotations

from typing import Any, Protocol

import pytest


class WatchOfTests(Protocol):
    """Watches the tests of this process, from the first to the last; installs what it needs, and puts all back."""

    @property
    def CARRIED(self) -> str:
        """The attribute of a test's last report that carries what was seen, as plain values.

        pytest-xdist sends it from its workers, and one that dies takes nothing with it but the test that it died of.
        """
        ...

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""

    def watch(self) -> None:
        """Watch also what is loaded by now: a fixture, or the body, may be the first to load it."""

    def end_body(self, item: pytest.Item) -> None:
        """The body has ended, and what it has patched by pytest's own ``monkeypatch`` is still there."""

    def end(self, item: pytest.Item) -> Any:
        """A test has ended, and its fixtures are gone.

        Returns:
            What was seen of it.
        """

    def close(self) -> None:
        """The run has ended: watch no more."""
