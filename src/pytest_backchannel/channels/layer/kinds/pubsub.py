"""The pub/sub layer of channels-redis (pubsub.py, 4.2.1–4.3.0) without Redis."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Sequence

from ..readers import Copy, Reader
from .semantics import LayerOptions, LayerSemantics, Lose


class PubSubSemantics(LayerSemantics):
    """``channels_redis.pubsub``: nothing is kept in Redis; each process keeps an unbounded queue for each channel.

    Who has not subscribed when a message is sent never gets it. There is no capacity and no expiry, and names are not
    checked. A channel ends when a ``receive()`` on it is cancelled.
    """

    checks_names = False

    def __init__(self, options: LayerOptions, lose: Lose) -> None:
        self.options = options
        self._lose = lose
        self._channels: dict[str, deque[Copy]] = {}
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}
        self._readers: dict[str, deque[Reader]] = {}
        self.groups = {}

    def new_channel(self, prefix: str | None) -> str:
        """A channel that is subscribed from now on."""
        channel = f"{self.options.prefix}{'specific.' if prefix is None else prefix}{uuid.uuid4().hex}"
        self._subscribe(channel)
        return channel

    def members(self, group: str) -> list[str]:
        """The channels in the group, also those that have ended."""
        return list(self.groups.get(group, {}))

    def queue_of(self, channel: str) -> str:
        """Its own."""
        return channel

    def join(self, group: str, channel: str) -> None:
        """Only a channel of this process and event loop can join.

        Raises:
            RuntimeError: as channels-redis does for any other.
        """
        if self._loops.get(channel) is not asyncio.get_running_loop():
            other = "belongs to another event loop" if channel in self._loops else "was not made in this process"
            raise RuntimeError(
                f"group_add({group!r}, {channel!r}): the channel {other}. The pub/sub layer of channels-redis lets "
                "only a channel join that new_channel() has made in the same process and event loop; in a consumer, "
                "use self.channel_layer.group_add(group, self.channel_name)."
            )
        self.groups.setdefault(group, {}).setdefault(channel, time.time())

    def put(self, copies: Sequence[Copy]) -> list[Copy]:
        """Who is not subscribed misses it."""
        for copy in copies:
            queue = self._channels.get(copy.channel)
            if queue is None:
                if copy.group:
                    self._lose(copy, "unread", "the channel has ended, but is still in the group (group_discard it)")
                else:
                    self._lose(copy, "no_members", "nobody is subscribed to the channel; pub/sub keeps nothing")
                continue
            readers = self._readers.get(copy.channel, deque())
            while readers and readers[0].gone:
                readers.popleft()
            if readers:
                readers.popleft().give(copy)
            else:
                queue.append(copy)
        return []

    def start(self, reader: Reader) -> None:
        """Receiving subscribes."""
        queue = self._channels.get(reader.channel)
        if queue is None:
            queue = self._subscribe(reader.channel)
        if queue:
            reader.give(queue.popleft())
        else:
            self._readers.setdefault(reader.channel, deque()).append(reader)

    def cancel(self, reader: Reader) -> None:
        """The channel ends, and what waits on it is lost."""
        readers = self._readers.get(reader.channel, deque())
        if reader in readers:
            readers.remove(reader)
        left = self._channels.pop(reader.channel, deque())
        self._loops.pop(reader.channel, None)
        for copy in ([reader.copy] if reader.copy is not None else []) + list(left):
            self._lose(copy, "unread", "its channel ended before it was read")

    def waiting(self) -> list[Copy]:
        """What was published to a subscribed channel and not received."""
        return [copy for queue in self._channels.values() for copy in queue]

    def listened(self, channel: str) -> bool:
        """Whether a reader of the channel waits."""
        return any(not reader.gone for reader in self._readers.get(channel, ()))

    def clear(self) -> list[Copy]:
        """Nobody is subscribed to anything any more."""
        waiting = self.waiting()
        self._channels.clear()
        self._loops.clear()
        self.groups.clear()
        return waiting

    def _subscribe(self, channel: str) -> deque[Copy]:
        self._loops[channel] = asyncio.get_running_loop()
        return self._channels.setdefault(channel, deque())
