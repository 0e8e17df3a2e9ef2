"""The connections that other threads opened in a test without a transaction of its own: closed at its end."""

from __future__ import annotations

from typing import Any

from . import connection_local
from .made_connections import made_connections
from .threads import ThreadsOfTest


class ThreadConnections:
    """Watches, and at the end closes, what threads other than the test's own opened.

    Left open they keep a table locked while the tables are emptied, and the database from being dropped: a thread of
    an executor lives on, and with it its connection.

    Args:
        test: the test, for messages.
    """

    def __init__(self, test: str = "") -> None:
        self.test = test
        self._opened: list[Any] = []

    def start(self) -> None:
        """Begin to watch."""
        from django.db.backends.signals import connection_created

        self._threads = ThreadsOfTest(self.test)
        connection_created.connect(self._created)

    def adopt(self) -> None:
        """Nothing is shared here, so that nothing is to be adopted (see ``ConnectionSharing.adopt``)."""

    def stop(self) -> None:
        """Close them all, but those of the calling thread; and refuse later tests' database to threads left over."""
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.backends.signals import connection_created

        connection_created.disconnect(self._created)
        self._threads.end()
        connection_local.install_if_needed()
        own = made_connections()
        for connection in self._opened:
            if not any(connection is mine for mine in own):
                connection.inc_thread_sharing()
                try:
                    # Not its own close(), which for SQLite in memory does nothing.
                    BaseDatabaseWrapper.close(connection)
                finally:
                    connection.dec_thread_sharing()
        self._opened.clear()

    def _created(self, connection: Any, **kwargs: Any) -> None:
        # A reference that keeps it alive: of a thread that has ended, it would be collected while open, which warns.
        if not any(connection is known for known in self._opened):
            self._opened.append(connection)
