"""The ``Local`` in which ``django.db.connections`` keeps them for each thread: replaced while threads share them."""

from __future__ import annotations

import threading
from typing import Any

from . import threads


class SharedLocal:
    """Stands in for the asgiref ``Local`` of ``django.db.connections``: every thread finds the shared connections.

    A thread that sets a connection of its own (``connections["default"] = …``) finds that one, as long as the others
    share. Aliases that are not shared are looked up where they were, and a thread that outlived its test is refused.
    """

    def __init__(self, real: Any) -> None:
        self._backchannel_real = real
        self._backchannel_shared: dict[str, Any] = {}
        self._backchannel_own = threading.local()

    def __getattr__(self, alias: str) -> Any:
        threads.check()
        if not self._backchannel_shared and not threads.any_left():
            uninstall()  # it stayed for a thread that has ended since
        if alias not in self._backchannel_shared:
            return getattr(self._backchannel_real, alias)
        return self._backchannel_own.__dict__.get(alias) or self._backchannel_shared[alias]

    def __setattr__(self, alias: str, connection: Any) -> None:
        if alias.startswith("_backchannel_"):
            object.__setattr__(self, alias, connection)
        elif alias in self._backchannel_shared:
            self._backchannel_own.__dict__[alias] = connection
        else:
            setattr(self._backchannel_real, alias, connection)

    def __delattr__(self, alias: str) -> None:
        if alias in self._backchannel_shared:
            self._backchannel_own.__dict__.pop(alias, None)
        else:
            delattr(self._backchannel_real, alias)

    def share(self, connections: dict[str, Any]) -> None:
        """Give these connections, by alias, to every thread; an empty dictionary ends that."""
        self._backchannel_shared = connections
        self._backchannel_own = threading.local()


# --- private API: django.utils.connection.BaseConnectionHandler._connections, Django 5.2–6.1 -----------------------
# The handler's asgiref Local is per thread and per event loop, and nothing public gives a connection to all
# threads: ConnectionHandler.__setitem__ sets it for the current one.


def _handler() -> Any:
    from django.db import connections

    return connections


def install() -> SharedLocal:
    """Put ours in place; the one that is there, if there is one."""
    handler = _handler()
    if not isinstance(handler._connections, SharedLocal):
        handler._connections = SharedLocal(handler._connections)
    return handler._connections


def install_if_needed() -> None:
    """Put ours in place if a thread that outlived its test must be refused; Django's own if none must."""
    if threads.any_left():
        install()
    else:
        uninstall()


def uninstall() -> None:
    """Put Django's own back."""
    handler = _handler()
    if isinstance(handler._connections, SharedLocal):
        handler._connections = handler._connections._backchannel_real
