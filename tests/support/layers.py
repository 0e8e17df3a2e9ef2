"""A channel layer in the place of the project's, for the length of a block."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from channels.layers import channel_layers


@contextmanager
def layer_in_place(layer: Any, alias: str = "default") -> Generator[None]:
    """Put a layer in place, and the one that was there back; where none had been made, none is left.

    ``channel_layers.set`` returns None for a layer that nobody has asked for yet. Set back as it is, that None becomes
    the layer of every test that comes later in the process.
    """
    before = channel_layers.set(alias, layer)
    try:
        yield
    finally:
        if before is None:
            del channel_layers.backends[alias]
        else:
            channel_layers.set(alias, before)
