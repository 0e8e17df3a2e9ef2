"""Watches the servers of asgiref that have no connections, such as Channels' worker: they only log a consumer's crash.

It changes nothing that a test can see: what is logged, when, and what such a server does afterwards.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...active import Replaced, Replacement
from ...events import caller
from . import leftovers
from .consumers import Opening, opening

# --- private API: asgiref.server.StatelessServer.get_or_create_application_instance and application_instances, seen on
# asgiref 3.9–3.13: the one place in which it starts an application, whose task it keeps by the name of its scope ---


def _watched(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_or_create_application_instance(self: Any, scope_id: Any, scope: Any) -> Any:
        if scope_id in self.application_instances or not watch.rules(get_or_create_application_instance):
            return original(self, scope_id, scope)
        found = Opening(type(self).__name__, scope, caller(), weakref.ref(self), only_logs=True)
        token = opening.set(found)
        try:
            queue = original(self, scope_id, scope)
        finally:
            opening.reset(token)
        found.task = task = self.application_instances[scope_id]["future"]
        leftovers.add(found, lambda: task.exception() if task.done() and not task.cancelled() else None)
        return queue

    return get_or_create_application_instance


def _replacements() -> list[Replacement]:
    server: Any = import_module("asgiref.server")
    return [Replacement(server.StatelessServer, "get_or_create_application_instance", _watched)]


watch = Replaced("watch of workers", _replacements)


def install() -> None:
    """Watch from now on; each call needs its :func:`remove`."""
    watch.install()


def remove() -> None:
    """Undo one :func:`install`; the last one restores asgiref, but for what somebody else has replaced meanwhile."""
    watch.remove()


# --- end of private API ---
