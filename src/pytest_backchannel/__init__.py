"""Test what a Django project does behind the request: Celery tasks, Channels consumers, WebSockets.

The doubles are plain context managers too, for those who do not use pytest; each is imported when it is first asked
for, so that a project with only one of Celery and Channels imports nothing of the other:

    >>> from pytest_backchannel import TaskQueue, VirtualClock, WebSocketClient
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .channels.client.client import WebSocketClient as WebSocketClient
    from .channels.layer.install import strict_channel_layers as strict_channel_layers
    from .channels.layer.layer import StrictLayer as StrictLayer
    from .clock.virtual import VirtualClock as VirtualClock
    from .database import lend as lend
    from .database import share_connections as share_connections
    from .errors import BackchannelError as BackchannelError
    from .errors import BackchannelFailure as BackchannelFailure
    from .errors import BackchannelWarning as BackchannelWarning
    from .errors import WebSocketRejected as WebSocketRejected
    from .tasks.eager import EagerMode as EagerMode
    from .tasks.expect.messages import EnqueuedTask as EnqueuedTask
    from .tasks.queue import TaskQueue as TaskQueue

_MODULES = {
    "BackchannelError": ".errors",
    "BackchannelFailure": ".errors",
    "BackchannelWarning": ".errors",
    "EagerMode": ".tasks.eager",
    "EnqueuedTask": ".tasks.expect.messages",
    "StrictLayer": ".channels.layer.layer",
    "TaskQueue": ".tasks.queue",
    "VirtualClock": ".clock.virtual",
    "WebSocketClient": ".channels.client.client",
    "WebSocketRejected": ".errors",
    "lend": ".database",
    "share_connections": ".database",
    "strict_channel_layers": ".channels.layer.install",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
