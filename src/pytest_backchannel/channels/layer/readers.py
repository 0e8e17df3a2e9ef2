"""Who waits for a message, in whichever event loop and thread that is."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from ...events import Event
from .records import GroupSend, Sent


@dataclass(eq=False)
class Copy:
    """One message on its way to one channel.

    Attributes:
        send: the record of its sending.
        group: the group that it was sent to, or empty.
        channel: the channel that it is for.
        message: what its receiver gets; no other receiver shares it.
        listened: whether somebody listened to the channel when it was put there.
        left_over: whether the channel is one that an earlier test has left behind, with nobody there any more.
        consumer: the name of the consumer's class, where known.
        event: what has happened to it last.
    """

    send: GroupSend | Sent
    group: str
    channel: str
    message: Any
    listened: bool = False
    left_over: bool = False
    consumer: str = ""
    event: Event = field(init=False)

    def __post_init__(self) -> None:
        """It begins with its sending."""
        self.event = self.send


class Reader:
    """One ``receive()`` that waits, in the event loop that runs when it is made.

    Args:
        channel: the channel that it reads.

    Attributes:
        copy: what was given to it, or None.
        error: what ``receive()`` raises instead, or None.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.copy: Copy | None = None
        self.error: Exception | None = None
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    @property
    def gone(self) -> bool:
        """Whether it can't be given anything: its loop was closed, or it was cancelled."""
        return self.loop.is_closed() or self.future.cancelled()

    def give(self, copy: Copy) -> None:
        """Hand a copy over, and wake the reader in its own loop."""
        self.copy = copy
        self.wake()

    def fail(self, error: Exception) -> None:
        """Let ``receive()`` raise, in its own loop."""
        self.error = error
        self.wake()

    def wake(self) -> None:
        """End the wait."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop:
            self._set()
        else:
            # A loop that is closed between the look at ``gone`` and here wakes nobody: the copy is then unread.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self.future.done():
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(None)
