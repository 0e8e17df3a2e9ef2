"""What is noted, for the contract, while tests run: in this process, and in each worker of pytest-xdist."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest

from ... import events
from ...questions.contract.sends_noted import noted
from ...questions.contract.sends_noted.log_sends import note_log
from ...source.files import holds_tests
from ..asking.patched import by_monkeypatch
from ..queues import has_real_broker

_WATCHES = ("sent_tasks", "mocked_sends", "stored_entries")
_WATCHING = "pytest_backchannel.questions.contract.sends_noted"


class SendsWatch:
    """What is noted in this process, from the first test to the last.

    Args:
        config: of the run.
    """

    CARRIED = "backchannel_sent"

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._deselected = 0
        self._installed: list[Any] = []
        self._is_test = holds_tests(config.rootpath)
        self._is_ready = False

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""
        noted.begin(self._is_test)
        self.watch()

    def watch(self) -> None:
        """Watch, once Celery is loaded and Django set up."""
        apps: Any = sys.modules.get("django.apps")
        if self._is_ready or "celery" not in sys.modules or apps is None or not apps.apps.ready:
            return
        self._is_ready = True
        for name in _WATCHES:
            module = import_module(f"{_WATCHING}.{name}")
            module.install()
            self._installed.append(module)

    def end_body(self, item: pytest.Item) -> None:
        """The body has ended, and what it has patched by pytest's own ``monkeypatch`` is still there."""
        if self._is_ready:
            from ...questions.contract.sends_noted.mocked_sends import look_at

            for target, name, there, original in by_monkeypatch(item):
                look_at(target, name, there, original)

    def end(self, item: pytest.Item) -> list[list[Any]]:
        """A test has ended, and its fixtures are gone.

        Returns:
            What it has sent.
        """
        found, log = noted.take(), events.log_in_use()
        if found is None:
            return []
        if log is not None:
            note_log(log, found, real=has_real_broker(item))
        return found.as_data()

    def left_out(self, count: int) -> None:
        """Some tests were deselected.

        Args:
            count: how many.
        """
        self._deselected += count

    def tell_left_out(self) -> int:
        """How many tests were deselected, told to the process of the run where this is a worker of pytest-xdist."""
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["backchannel_deselected"] = self._deselected
        return self._deselected

    def close(self) -> None:
        """The run has ended: watch no more."""
        noted.take()
        while self._installed:
            self._installed.pop().remove()
