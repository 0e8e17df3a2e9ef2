"""Keeps a test's transaction open while consumers run: Channels closes "old" connections around every message.

Inside a transaction autocommit is off, for which Django takes the connection as one to be dropped (channels#2118).
Channels' own communicators replace the function for the whole process during each call, and leave it replaced when two
calls overlap; this replaces it while any client is open, and spares only connections that are inside a transaction.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# --- private API: channels.db.close_old_connections, seen on channels 4.2–4.3: the name under which Channels calls
# Django's function of the same name, in threads and before each handler ---

_users = 0
_original: Any = None
_connections: Any = None


def _close_old_connections() -> None:
    if not _users:
        _original()
        return
    for connection in _connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def keep() -> None:
    """Spare connections inside a transaction from now on; each call needs its :func:`release`."""
    global _users, _original, _connections
    channels_db: Any = import_module("channels.db")
    if not _users and channels_db.close_old_connections is not _close_old_connections:
        _original = channels_db.close_old_connections
        _connections = import_module("django.db").connections
        channels_db.close_old_connections = _close_old_connections
    _users += 1


def release() -> None:
    """Undo one :func:`keep`; the last one restores Channels, unless somebody has replaced ours meanwhile."""
    global _users
    _users -= 1
    channels_db: Any = import_module("channels.db")
    if not _users and channels_db.close_old_connections is _close_old_connections:
        channels_db.close_old_connections = _original


# --- end of private API ---
