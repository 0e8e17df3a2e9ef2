"""Watches, with ``--backchannel-audit=rollback``, what each test of this process sends inside a transaction.

Nothing of this is imported without the flag, and no outcome changes by it: nothing of it is in the log of a test.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any

import pytest

from ...markers import allowed_audits, allowed_slugs
from ...options import options_of
from ...questions.audit.audit_options import AuditOptions
from ...questions.audit.rollback.sends_inside import Found, found
from ...source.files import holds_tests
from ..asking.patched import by_monkeypatch


class RollbackTests:
    """From the first test to the last.

    Args:
        config: of the run.
    """

    CARRIED = "backchannel_rollback"

    def __init__(self, config: pytest.Config) -> None:
        self._options = options_of(config).audit or AuditOptions()
        self._is_test = holds_tests(config.rootpath)
        self._installed: dict[str, Any] = {}

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""
        try:
            allowed = allowed_audits(item)
        except pytest.UsageError:  # with which the test itself fails
            allowed = {}

        def reason(task: str) -> str:
            own = (why for pattern, why in allowed.items() if fnmatchcase(task, pattern))
            return next(own, "") or self._options.reason(task)

        found.value = Found(self._is_test, frozenset(allowed_slugs(item)), reason)
        self.watch()

    def watch(self) -> None:
        """Watch what is loaded by now: Django, once it is set up, and Celery."""
        apps: Any = sys.modules.get("django.apps")
        if apps is None or not apps.apps.ready:
            return
        if "django" not in self._installed:
            from ...questions.audit.rollback import entered_blocks, real_sends

            entered_blocks.install(self._is_test)
            self._installed["blocks"] = entered_blocks
            real_sends.install()
            self._installed["django"] = real_sends
        if "celery" not in self._installed and "celery" in sys.modules:
            # Celery loads it for the first task that is enqueued, and enqueues are watched only once it is there.
            import_module("celery.app.task")
            from ...questions.audit.rollback import mocked_sends_inside

            mocked_sends_inside.install()
            self._installed["celery"] = mocked_sends_inside

    def end_body(self, item: pytest.Item) -> None:
        """The body has ended, and what it has patched by pytest's own ``monkeypatch`` is still there."""
        mocked = self._installed.get("celery")
        if mocked is not None:
            for patch in by_monkeypatch(item):
                mocked.look_at(*patch)

    def end(self, item: pytest.Item) -> list[list[Any]]:
        """A test has ended, and its fixtures are gone.

        Returns:
            What it has sent, as plain values.
        """
        noted, found.value = found.value, None
        if "celery" in self._installed:
            self._installed["celery"].forget()
        return [one.as_data() for one in sorted(noted.sends)] if noted is not None else []

    def close(self) -> None:
        """The run has ended: watch no more."""
        found.value = None
        while self._installed:
            self._installed.popitem()[1].remove()
