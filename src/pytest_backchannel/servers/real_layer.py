"""The channel layer of a test with a real worker: one on the test's own Redis, which both processes use."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any

from ..tasks.queue import not_for_real
from .integration import redis_channel_layers

_OF_THE_STRICT_LAYER = frozenset(
    ("account", "arun", "assert_group_sent", "assert_not_group_sent", "group_sends", "lost", "members", "refuse", "run")
)
"""What only a layer knows through which everything goes, in this process."""


_NOT_THROUGH_HERE = (
    "its messages go over Redis, and not through this process. Receive them, by a websocket or "
    "channel_layer.receive(), or ask with broker='stepped'."
)
_REASONS = {"refuse": "its Redis is a real one: take redis_server, and stop it by redis_server.stop()."}


class RealLayer:
    """What ``channel_layer`` gives beside a real worker: the project's layer as it is at the moment of each call.

    ``send``, ``receive``, ``group_add`` and all else of Channels are there. What the strict layer says of each message
    can't be had: what a worker sends does not come through this process.

    Args:
        alias: its key in ``CHANNEL_LAYERS``.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __repr__(self) -> str:
        return f"<RealLayer {self._alias!r}>"

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_STRICT_LAYER:
            not_for_real(
                f"channel_layer.{name}",
                f"can't be had with a real worker: {_REASONS.get(name, _NOT_THROUGH_HERE)}",
            )
        from channels.layers import channel_layers

        return getattr(channel_layers[self._alias], name)


@contextlib.contextmanager
def real_channel_layers(url: str, kind: str, options: Mapping[str, Any]) -> Generator[dict[str, RealLayer]]:
    """Within the block, ``CHANNEL_LAYERS`` is on the test's Redis, as it is in the worker processes.

    Args:
        url: the test's Redis.
        kind: ``core`` or ``pubsub``.
        options: the configuration of the project's production layer.
    """
    from django.test import override_settings

    layers = redis_channel_layers(url, kind, options)
    with override_settings(CHANNEL_LAYERS=layers):
        yield {alias: RealLayer(alias) for alias in layers}
