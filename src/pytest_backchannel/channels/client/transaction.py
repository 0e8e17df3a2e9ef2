"""Keeps a test's transaction open while consumers run: Channels closes "old" connections around every message.

Inside a transaction autocommit is off, for which Django takes the connection as one to be dropped (channels#2118).
Channels' own communicators replace the function for the whole process during each call, and leave it replaced when two
calls overlap; this replaces it while any client is open, and spares only connections that are inside a transaction.

Before each handler of an async consumer the closing is a job in a thread. While a client is open it is one turn of the
event loop instead: connections do not grow old between two messages of a test, and the thread is what a message costs
most of. Where a connection ends, in ``websocket_disconnect``, the closing is done as in production.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from importlib import import_module
from typing import Any

from ...active import Replaced, Replacement
from ...database.made_connections import made_connections

# --- private API: channels.db.close_old_connections and channels.consumer.aclose_old_connections, seen on channels
# 4.2–4.3: the names under which Channels calls Django's function, in threads and before each async handler ---


def _sparing(original: Callable[[], None]) -> Callable[[], None]:
    def close_old_connections() -> None:
        if not _closing.rules(close_old_connections):
            original()
            return
        for connection in made_connections():
            if not connection.in_atomic_block and not _blocked(connection):
                connection.close_if_unusable_or_obsolete()

    return close_old_connections


def _blocked(connection: Any) -> bool:
    """Whether a connection is open though pytest-django lets nobody use it now: by a fixture of a wider scope.

    Django asks an open connection whether it is old, and that counts as use. Seen on pytest-django 4.8–4.14.
    """
    if connection.connection is None:
        return False
    return getattr(connection.ensure_connection, "__module__", "") == "pytest_django.plugin"


@types.coroutine
def _one_turn() -> Generator[None]:
    yield


def _of_one_turn(original: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def aclose_old_connections() -> None:
        if _closing.rules(aclose_old_connections):
            await _one_turn()
        else:
            await original()

    return aclose_old_connections


def _replacements() -> tuple[Replacement, Replacement]:
    import_module("django.db")
    return (
        Replacement(import_module("channels.db"), "close_old_connections", _sparing),
        Replacement(import_module("channels.consumer"), "aclose_old_connections", _of_one_turn),
    )


_closing = Replaced("closing of old connections", _replacements)


def keep() -> None:
    """Spare connections inside a transaction from now on; each call needs its :func:`release`."""
    _closing.install()


def release() -> None:
    """Undo one :func:`keep`; the last one restores Channels, unless somebody has replaced ours meanwhile."""
    _closing.remove()


# --- end of private API ---
