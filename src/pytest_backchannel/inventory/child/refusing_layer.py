"""A channel layer that carries nothing: what ``CHANNEL_LAYERS[...]["BACKEND"]`` says in a child process."""

from __future__ import annotations

from typing import Any

from .refusals import refusing_async

BACKEND = f"{__name__}.RefusingLayer"
"""For the setting ``CHANNEL_LAYERS``."""


class RefusingLayer:
    """Every use is refused. It derives from nothing of Channels', so that a project without it has it, too."""

    extensions = ("groups", "flush")

    def __init__(self, **config: Any) -> None:
        pass

    send = refusing_async("a message to the channel layer")
    receive = refusing_async("a receive from the channel layer")
    new_channel = refusing_async("a new channel of the channel layer")
    group_add = refusing_async("a change of a group of the channel layer")
    group_discard = refusing_async("a change of a group of the channel layer")
    group_send = refusing_async("a group send to the channel layer")
    flush = refusing_async("a flush of the channel layer")
    close = refusing_async("an end of the channel layer")
