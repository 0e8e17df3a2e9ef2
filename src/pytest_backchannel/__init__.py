"""Test what a Django project does behind the request: Celery tasks, Channels consumers, WebSockets.

Public are the names in ``__all__`` here, in :mod:`pytest_backchannel.errors` and in :mod:`pytest_backchannel.typing`.
Those here are for suites that do not use pytest, and for what no fixture gives: the doubles as plain context managers,
and the routes of an application. Each is imported when it is first asked for, so that a project with only one of Celery
and Channels imports nothing of the other:

    >>> from pytest_backchannel import TaskQueue, VirtualClock, WebSocketClient
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .channels.client.client import WebSocketClient as WebSocketClient
    from .channels.layer.install import strict_channel_layers as strict_channel_layers
    from .channels.layer.kinds.semantics import LayerOptions as LayerOptions
    from .channels.layer.layer import StrictLayer as StrictLayer
    from .channels.matrix import access_matrix as access_matrix
    from .channels.routes import routes_of as routes_of
    from .clock.virtual import VirtualClock as VirtualClock
    from .database import in_code_transaction as in_code_transaction
    from .database import lend as lend
    from .database import share_connections as share_connections
    from .errors import BackchannelError as BackchannelError
    from .errors import BackchannelFailure as BackchannelFailure
    from .errors import BackchannelWarning as BackchannelWarning
    from .errors import WebSocketRejected as WebSocketRejected
    from .tasks.eager import EagerMode as EagerMode
    from .tasks.expect.messages import EnqueuedTask as EnqueuedTask
    from .tasks.queue import TaskQueue as TaskQueue

__version__ = "0.1.0"

# The same as above, for the run; tests/unit/test_public.py holds them to each other.
_MODULES = {
    "BackchannelError": ".errors",
    "BackchannelFailure": ".errors",
    "BackchannelWarning": ".errors",
    "EagerMode": ".tasks.eager",
    "EnqueuedTask": ".tasks.expect.messages",
    "LayerOptions": ".channels.layer.kinds.semantics",
    "StrictLayer": ".channels.layer.layer",
    "TaskQueue": ".tasks.queue",
    "VirtualClock": ".clock.virtual",
    "WebSocketClient": ".channels.client.client",
    "WebSocketRejected": ".errors",
    "access_matrix": ".channels.matrix",
    "in_code_transaction": ".database",
    "lend": ".database",
    "routes_of": ".channels.routes",
    "share_connections": ".database",
    "strict_channel_layers": ".channels.layer.install",
}

# Type checkers know it from "import X as X".
if not TYPE_CHECKING:
    __all__ = sorted(["__version__", *_MODULES])  # noqa: PLE0605  (for the run alone)

# Which extra brings what the modules of a room import.
_EXTRAS = {"channels": "channels", "servers": "servers", "tasks": "celery"}


def _load(owner: str, name: str, modules: Mapping[str, str]) -> Any:
    """A public name, from the module that defines it.

    Args:
        owner: the public module that was asked.
        name: the name.
        modules: the module of each name, relative to this package.

    Raises:
        AttributeError: it is not public.
        ImportError: it needs a package that is not installed; the message names the extra.
    """
    if name not in modules:
        raise AttributeError(f"module {owner!r} has no attribute {name!r}")
    try:
        return getattr(import_module(modules[name], __name__), name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(modules[name].split(".")[1])
        if extra is None or str(error.name).startswith(__name__):
            raise
        raise ImportError(
            f"{owner}.{name} needs {error.name}, which is not installed: pip install 'pytest-backchannel[{extra}]'"
        ) from error


# Not for type checkers: to them a module with __getattr__ has every name, also a misspelt one.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return _load(__name__, name, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
