"""What happens to the messages of a channel layer, as records in the log."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...events import Event
from ..watch.records import shortened

#: A message as text, shorter where more stands on its line.
short = partial(shortened, width=72)


class GroupSend(Event):
    """A message was sent to a group.

    Attributes:
        group: the group's name.
        message: the message as its receivers get it: with lists for tuples.
        members: the channels that were in the group.
        layer: the alias of the layer.
    """

    group: str
    message: Mapping[str, Any]
    members: tuple[str, ...]
    layer: str

    def headline(self) -> str:
        """The group, the message, and how many it was for."""
        count = len(self.members)
        return f"group send to {self.group!r} ({count} member{'' if count == 1 else 's'}): {short(self.message)}"


class Sent(Event):
    """A message was sent to one channel.

    Attributes:
        channel: the channel's name.
        message: the message as its receiver gets it.
        layer: the alias of the layer.
    """

    channel: str
    message: Mapping[str, Any]
    layer: str

    def headline(self) -> str:
        """The channel and the message."""
        return f"sent to {short(self.channel, width=40)}: {short(self.message)}"


class Delivered(Event):
    """A message has reached its receiver; what the receiver's handler does has this event as its cause.

    Attributes:
        channel: the channel it arrived on.
        consumer: the class of the consumer, or empty where something else received it.
        handler: the name of the handler that it was given to, or empty.
        message: the message.
    """

    channel: str
    consumer: str
    handler: str
    message: Mapping[str, Any]

    def headline(self) -> str:
        """The consumer and its handler."""
        if self.consumer:
            return f"delivered to {self.consumer}.{self.handler}"
        return f"received on {short(self.channel, width=40)}"


class Lost(Event, breaks=True):
    """A message will not be handled by the one that it was for.

    Attributes:
        reason: ``no_members``, ``no_handler``, ``over_capacity``, ``expired``, ``unread`` or ``not_serialisable``.
        group: the group it was sent to, or empty.
        channel: the channel it was for, or empty where it was for nobody.
        consumer: the class of the consumer it was for, or empty where none is known.
        message: the message.
        text: what happened, and the fix, in one or more lines.
    """

    reason: str
    group: str
    channel: str
    consumer: str
    message: Any
    text: str

    def headline(self) -> str:
        """The reason and who missed it."""
        whom = f" for {self.consumer}" if self.consumer else ""
        return f"lost{whom}: {self.reason}"


class CallRefused(Event, breaks=True):
    """A call of the layer was refused, because the test asked for it.

    Attributes:
        call: ``send``, ``group_send``, ``group_add`` or ``group_discard``.
        target: the group or channel that it was about.
        layer: the alias of the layer.
    """

    call: str
    target: str
    layer: str

    def headline(self) -> str:
        """Which call."""
        return f"the channel layer refused {self.call}({short(self.target, width=40)})"
