"""Messages that are done, packed: they are read again only where somebody prints or asserts them."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any, NamedTuple

_PARTS = ("headers", "properties")


class Packed(NamedTuple):
    """A message as bytes, in a quarter of the room.

    Attributes:
        shape: the keys of the message and of the mappings in it: most messages of a test share theirs.
        values: what belongs to them.
    """

    shape: tuple[tuple[str, ...], ...]
    values: bytes

    def unpacked(self) -> dict[str, Any]:
        """The message, made anew."""
        own, *inside = marshal.loads(self.values)
        message = dict(zip(self.shape[0], own, strict=True))
        for name, keys, values in zip(_PARTS, self.shape[1:], inside, strict=True):
            message[name] = dict(zip(keys, values, strict=True))
        return message


def packed(raw: Mapping[str, Any]) -> Packed | None:
    """A message, packed; None where it holds something that only it can hold."""
    parts: list[dict[str, Any]] = [part for name in _PARTS if type(part := raw.get(name)) is dict]
    if len(parts) < len(_PARTS):
        return None
    own = [None if name in _PARTS else value for name, value in raw.items()]
    shape = (tuple(raw), *map(tuple, parts))
    try:
        values = marshal.dumps([own, *(list(part.values()) for part in parts)])
    except ValueError:  # an object of a kind of the project's, of a serialiser that keeps it
        return None
    return Packed(_shapes.setdefault(shape, shape) if len(_shapes) < MOST_SHAPES else shape, values)


MOST_SHAPES = 256
_shapes: dict[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]] = {}
