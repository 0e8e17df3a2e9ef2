"""Messages that are done, packed: they are read again only where somebody prints or asserts them."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

# The keys of a message, of its headers and of its properties: most messages of a test share theirs.
Shape = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
Packed = tuple[Shape, bytes]


def packed(raw: Mapping[str, Any]) -> Packed | None:
    """A message in a quarter of its room; None where it holds something that only it can hold."""
    headers, properties = raw.get("headers"), raw.get("properties")
    if type(headers) is not dict or type(properties) is not dict:
        return None
    own = {**raw, "headers": None, "properties": None}
    try:
        values = marshal.dumps([*own.values(), *headers.values(), *properties.values()])
    except ValueError:  # an object of a kind of the project's, of a serialiser that keeps it
        return None
    shape = (tuple(raw), tuple(headers), tuple(properties))
    if len(_shapes) < MOST_SHAPES:
        shape = _shapes.setdefault(shape, shape)
    return shape, values


def unpacked(message: Packed) -> dict[str, Any]:
    """The message, made anew."""
    shape, values = message
    own, headers, properties = shape
    found = iter(marshal.loads(values))
    raw = dict(zip(own, found, strict=False))
    raw["headers"] = dict(zip(headers, found, strict=False))
    raw["properties"] = dict(zip(properties, found, strict=True))
    return raw


MOST_SHAPES = 256
_shapes: dict[Shape, Shape] = {}
