"""What a body sends by a channel layer: it goes to nobody in a shadow."""

from __future__ import annotations

import sys
from typing import Any

from .effect_log import note


def install() -> None:
    """Note the sends of this process from now on, and deliver none."""
    if "channels.layers" not in sys.modules:
        return
    from channels.layers import BaseChannelLayer, channel_layers

    kinds: set[Any] = {type(layer) for layer in channel_layers.backends.values()}
    for kind in {*kinds, *_subclasses(BaseChannelLayer)}:
        kind.group_send, kind.send = _group_send, _send


def _subclasses(owner: type) -> list[Any]:
    own: list[type] = owner.__subclasses__()
    return [*own, *(below for each in own for below in _subclasses(each))]


async def _group_send(layer: Any, group: str, message: Any, *args: Any, **kwargs: Any) -> None:
    note("send", f"group_send {group} {_type(message)}", of=f"group {group}")


async def _send(layer: Any, channel: str, message: Any, *args: Any, **kwargs: Any) -> None:
    note("send", f"send {_type(message)}", of="channel")


def _type(message: Any) -> str:
    return str(message.get("type", "")) if isinstance(message, dict) else ""
