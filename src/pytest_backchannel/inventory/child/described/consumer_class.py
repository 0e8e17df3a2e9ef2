"""What a consumer's class says of itself, without being run: its own methods, and whether it may refuse a handshake."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

# What Channels calls for a connection: of the class itself, or of those that it makes simpler.
OF_A_CONNECTION = (
    "connect",
    "disconnect",
    "receive",
    "receive_json",
    "websocket_connect",
    "websocket_disconnect",
    "websocket_receive",
)
_REFUSES = frozenset({"close", "DenyConnection", "reject"})
_LIBRARIES = ("channels", "django", "asgiref", "builtins")


def consumer_class(consumer: type[Any] | None, handlers: Iterable[str]) -> dict[str, Any]:
    """What is known of a consumer, as plain data; empty where an endpoint has none.

    Args:
        consumer: its class.
        handlers: the names of its methods that handle messages of a channel layer.
    """
    if consumer is None:
        return {}
    file, line = _place(consumer)
    own = {name: function for name in (*OF_A_CONNECTION, *handlers) if (function := _own(consumer, name)) is not None}
    return {
        "file": file,
        "line": line,
        "methods": {name: _line(function) for name, function in own.items()},
        "helpers": sorted(name for name in own if _is_named_by_others(name, consumer)),
        "may_refuse": any(
            name in own and _REFUSES.intersection(_names(own[name])) for name in ("connect", "websocket_connect")
        ),
    }


def _place(consumer: type[Any]) -> tuple[str, int]:
    try:
        return inspect.getsourcefile(consumer) or "", inspect.getsourcelines(consumer)[1]
    except (OSError, TypeError):
        return "", 0


def _own(consumer: type[Any], name: str) -> Any:
    """A method that the project has written; None where it has not."""
    for base in consumer.__mro__:
        if name in vars(base):
            value = inspect.unwrap(vars(base)[name]) if callable(vars(base)[name]) else None
            return None if base.__module__.partition(".")[0] in _LIBRARIES else value
    return None


def _is_named_by_others(name: str, consumer: type[Any]) -> bool:
    """Whether another method of the project's names it: it is called by code, and need not be meant for messages."""
    functions = (
        inspect.unwrap(value)
        for base in consumer.__mro__
        if base.__module__.partition(".")[0] not in _LIBRARIES
        for key, value in vars(base).items()
        if callable(value) and key != name
    )
    return any(name in _names(function) for function in functions)


def _names(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return code.co_names if code is not None else ()


def _line(function: Any) -> int:
    code = getattr(function, "__code__", None)
    return code.co_firstlineno if code is not None else 0
