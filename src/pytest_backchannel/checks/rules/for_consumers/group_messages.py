"""BC5xx: what is sent to groups, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from ....source import ANYTHING
from ...checked_file import is_test
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule

_LONGEST = 100
_INVALID = re.compile(r"[^a-zA-Z0-9_.\-]")
"""Channels 4.2–4.3, layers.py: ``BaseChannelLayer.group_name_regex``."""


class UnhandledType(TreeRule):
    """BC506."""

    code = "BC506"
    name = "no-handler"
    severity: ClassVar = "error"
    summary = "A message of this type is sent to a group, and no consumer has a method for it."
    why = "Each consumer that gets it dies with `ValueError: No handler for message type`; the sender sees nothing."
    fix = "A method of that name (`chat.message` is for `chat_message`), or the right type."
    path = "chat/consumers.py"
    page = "how-to/test-group-sends.md"
    wrong = """
from channels.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("chat", {"type": "chat.mesage", "text": text_data})

    async def chat_message(self, event):
        await self.send(event["text"])
"""
    right = wrong.replace("chat.mesage", "chat.message")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where all consumers are known, and none finds its handlers in a way of its own."""
        consumers = [one for one in tree.index.consumers.values() if not is_test(one.place.path)]
        if not consumers or any({"dispatch", "__getattr__"} & set(one.methods) for one in consumers):
            return
        for use in tree.index.unhandled():
            if not is_test(use.place.path):
                yield use.place, f"no consumer has a method {use.handler} for messages of the type {use.message_type!r}"


class InvalidGroupName(TreeRule):
    """BC507."""

    code = "BC507"
    name = "invalid-group-name"
    severity: ClassVar = "error"
    summary = "A group's name has a character that Channels does not allow, or is too long."
    why = "`group_add` and `group_send` raise `TypeError`."
    fix = "ASCII letters, digits, hyphens, underscores and full stops alone, fewer than 100 of them."
    path = "chat/consumers.py"
    page = "reference/channel-layer.md"
    wrong = """
from channels.layers import get_channel_layer


async def announce(pk):
    await get_channel_layer().group_send(f"order:{pk}", {"type": "order.paid"})
"""
    right = wrong.replace("order:{pk}", "order.{pk}")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of what the code says literally of the name."""
        for use in tree.index.group_uses:
            if use.action == "channel_send" or is_test(use.place.path) or use.wrapper:
                continue
            said = use.group.replace(ANYTHING, "")
            wrong = sorted(set(_INVALID.findall(said)))
            if wrong:
                yield (
                    use.place,
                    f"Channels refuses the group {use.group!r}: {' '.join(map(repr, wrong))} is not allowed",
                )
            elif len(said) >= _LONGEST:
                yield use.place, f"Channels refuses a group with a name of {_LONGEST} characters or more"
