"""Gathers, with a report flag, what each test does with the parts of the project: installs what watches it, once a run.

Nothing of this is imported without the flag. What a test did goes with the report of its teardown, as pytest-xdist
carries it from its workers: a worker that dies takes nothing with it but the test that it died of.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ... import events
from ...questions.report import facts
from ...questions.report.seen.log_facts import note_log
from ...questions.report.story_tree import story_data
from ..queues import has_real_broker

# What is watched of which library, and by which modules: each has install() and remove().
_SEEN = "pytest_backchannel.questions.report.seen"
_WATCHES = {"celery": ("bodies", "call_sites", "mocked_tasks", "celery_signals"), "channels": ("sockets",)}
# With one of these, tasks may run in another process, and send from there.
_REAL = frozenset({"worker_process", "redis_server", "rabbitmq_server"})


class Gathering:
    """What is gathered in this process, from the first test to the last."""

    def __init__(self) -> None:
        self._installed: list[Any] = []
        self._missing = dict(_WATCHES)
        self._unseen: list[tuple[str, str]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""
        facts.begin()
        self._let_workers_report(item)
        self.watch()
        for alias, backend in self._unseen:
            facts.note(f"layer:{alias}", "unseen", backend)

    def watch(self) -> None:
        """Watch, once Django is set up: a body may be the first to import Channels' routing, and goes through it."""
        if not self._missing or not _is_set_up():
            return
        for library in [library for library in self._missing if find_spec(library) is not None]:
            for name in self._missing.pop(library):
                module = import_module(f"{_SEEN}.{name}")
                module.install()
                self._installed.append(module)
        self._missing.clear()
        if find_spec("channels") is not None:
            self._unseen = _unseen_layers()

    def end_body(self, item: pytest.Item) -> None:
        """The body has ended, and what it has patched by pytest's own ``monkeypatch`` is still there."""
        if "celery" in sys.modules:
            _look_at_patches(item)

    def end(self, item: pytest.Item) -> list[facts.Fact]:
        """A test has ended, and its fixtures are gone.

        Returns:
            What it did.
        """
        log = events.log_in_use()
        if log is not None:
            note_log(log, real=has_real_broker(item))
        self._take_reports()
        return facts.take()

    def _let_workers_report(self, item: pytest.Item) -> None:
        if not _REAL.isdisjoint(getattr(item, "fixturenames", ())):
            facts.note("layer:worker processes", "unseen", "what worker processes send to groups is not seen")
        if "worker_process" in getattr(item, "fixturenames", ()):
            from ...servers.workers.worker_factory import told_into

            self._folder = tempfile.TemporaryDirectory(prefix="backchannel-")
            folder = Path(self._folder.name)
            (folder / "faults").mkdir()
            told_into.value = str(folder / "reports"), str(folder / "faults")

    def _take_reports(self) -> None:
        if self._folder is not None:
            from ...questions.report.seen.worker_reports import note_reports
            from ...servers.workers.worker_factory import told_into

            told_into.value = None
            note_reports(Path(self._folder.name) / "reports")
            self._folder.cleanup()
            self._folder = None

    def close(self) -> None:
        """The run has ended: watch no more."""
        facts.take()
        while self._installed:
            self._installed.pop().remove()


def _is_set_up() -> bool:
    apps: Any = sys.modules.get("django.apps")
    return apps is not None and apps.apps.ready


def _unseen_layers() -> list[tuple[str, str]]:
    """The layers of the test settings on which no message is watched: all but Channels' own in memory."""
    from django.conf import settings

    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    backends = [(str(alias), str(layer.get("BACKEND"))) for alias, layer in layers.items()]
    return [
        (alias, f"the channel layer {alias!r} of the tests is {backend}, on which no message is watched")
        for alias, backend in backends
        if backend != "channels.layers.InMemoryChannelLayer"
    ]


def story(report: pytest.TestReport) -> list[dict[str, Any]]:
    """What happened behind the request in a test that has failed."""
    log = events.log_in_use()
    return story_data(log) if report.failed and log is not None else []


# --- private API: MonkeyPatch._setattr, seen on pytest 8–9: what it has replaced, and what stood there before. Where it
# --- is no list of such, nothing is looked at, and a task that is replaced by it is only not told of.


def _look_at_patches(item: pytest.Item) -> None:
    patches = getattr(getattr(item, "funcargs", {}).get("monkeypatch"), "_setattr", None)
    if not isinstance(patches, list) or not patches:
        return
    from ...questions.report.seen.mocked_tasks import look_at

    for entry in patches:
        if isinstance(entry, tuple) and len(entry) == 3 and isinstance(entry[1], str):
            target, name, original = entry
            there = getattr(target, "__dict__", {}).get(name)
            if there is not None:
                look_at(target, name, there, original)


# --- end of private API
