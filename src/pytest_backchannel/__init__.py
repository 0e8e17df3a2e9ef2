"""Test what a Django project does behind the request: Celery tasks, Channels consumers, WebSockets."""

from __future__ import annotations

__version__ = "0.1.0"

# Where each public name is: loaded when it is asked for, so that a project without Channels imports nothing of it.
_PUBLIC = {"WebSocketClient": "pytest_backchannel.channels.client"}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
