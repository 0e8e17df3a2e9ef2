"""What the test's own run of a body has done, so far as it can be seen without touching it: rows and mails."""

from __future__ import annotations

import sys
from typing import Any

from .audit_data import BodyRun, Rows
from .effects.table_rows import TooManyRows, rows_of
from .weighing.faithfulness import difference
from .weighing.noise import Noise


class RealRun:
    """One run, from before it begins.

    Args:
        clean: what the shadow of it has done.
        noise: what is not looked at.

    Attributes:
        ran_other_bodies: whether other tasks ran within it, as they do in eager mode: their rows are not its own.
    """

    def __init__(self, clean: BodyRun, noise: Noise) -> None:
        self._clean = clean
        self._noise = noise
        self._mails = _mails()
        self.ran_other_bodies = False

    def difference(self) -> str:
        """How the shadow differs from it, now that it has ended; empty where it does not, or that can't be said."""
        if self.ran_other_bodies:
            return ""
        after = _mails()
        sent = None if after is None or self._mails is None else after - self._mails
        return difference(self._clean, _tables(self._clean), sent, self._noise)


def _mails() -> int | None:
    outbox: Any = getattr(sys.modules.get("django.core.mail"), "outbox", None)
    return len(outbox) if isinstance(outbox, list) else None


def _tables(clean: BodyRun) -> dict[str, Rows]:
    from django.db import connections

    found: dict[str, Rows] = {}
    for table, alias in clean.aliases.items():
        connection = connections[alias]
        if connection.connection is None or connection.needs_rollback:
            continue
        try:
            found[table] = rows_of(connection, table)
        except TooManyRows:
            continue
    return found
