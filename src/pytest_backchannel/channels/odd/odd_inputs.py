"""The odd values themselves: for the parameters of a path, for frames, and for the fields of a message."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

WORDS = (
    "two words",
    "Grüße",
    "x" * 200,
    "0",
    "-1",
    str(2**63),
    "1.5",
    "a:b",
    "50%",
    "'",
)
"""For a parameter of a path or of a query string."""

_DEEP = json.dumps(_deep := {"a": [{"a": [{"a": [{"a": [{"a": [1]}]}]}]}]})

FRAMES: tuple[str | bytes, ...] = (
    "[1]",
    '"text"',
    "null",
    "7",
    "{}",
    _DEEP,
    "no JSON",
    '{"cut": "o',
    "",
    b"\x00\xff",
)
"""What any client can send to a consumer that expects messages."""

_FIELD_VALUES: tuple[Any, ...] = (None, "", "odd", -1, 2**63, 1.5, True, [], [1], {}, _deep)
_MOST_FIELDS = 8


def mutations(message: Mapping[str, Any]) -> Iterator[str]:
    """A message, each time with one field of another kind, or without that field; as JSON.

    Args:
        message: one that a test has sent. Fields of an object within it are changed too, one level deep.
    """
    for path in _fields(message)[:_MOST_FIELDS]:
        yield json.dumps(_with(message, path, remove=True))
        current = _at(message, path)
        for value in _FIELD_VALUES:
            # What is of the same kind is no odd value, but for texts, which may be an id, a date or a name.
            if type(value) is not type(current) or isinstance(value, str):
                yield json.dumps(_with(message, path, value))


def shape_of(message: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two messages have in common that need not both be tried: their fields, and what says which message it is."""
    named = {
        name: value
        for name, value in message.items()
        if name in ("type", "action", "command", "event", "method", "op", "stream") and isinstance(value, str)
    }
    return tuple(sorted(message)), tuple(sorted(named.items()))


def _fields(message: Mapping[str, Any]) -> list[tuple[str, ...]]:
    inner = [(name, key) for name, value in message.items() if isinstance(value, dict) for key in value]
    return [*((name,) for name in message), *inner]


def _at(message: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        message = message[name]
    return message


def _with(message: Mapping[str, Any], path: tuple[str, ...], value: Any = None, *, remove: bool = False) -> Any:
    changed = copy.deepcopy(dict(message))
    place = _at(changed, path[:-1])
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed
