"""The core layer of channels-redis (core.py, 4.2.1–4.3.0) without Redis."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..readers import Copy, Reader
from .semantics import LayerOptions, LayerSemantics, Lose


@dataclass(eq=False)
class _Entry:
    at: float
    copies: list[Copy]


@dataclass(eq=False)
class _Queue:
    """One sorted set in Redis; it vanishes as a whole when nothing was sent to it for ``expiry``."""

    entries: deque[_Entry] = field(default_factory=deque[_Entry])
    vanishes: float = float("inf")


def _connection_error() -> Exception:
    """What a reader gets when ``flush()`` closes the layer's connections (channels_redis 4.3: close_pools)."""
    text = "the layer was flushed while receive() waited: that closes its connections"
    try:
        from redis.exceptions import ConnectionError as RedisConnectionError
    except ImportError:
        return ConnectionError(text)
    error: Exception = RedisConnectionError(text)
    return error


class CoreSemantics(LayerSemantics):
    """``channels_redis.core``: one queue in Redis for all consumers of a process, and a buffer for each of them.

    A message goes to the queue, where it counts against the capacity; over it, the newest is dropped. Whoever receives
    in that process empties the queue into the buffers; a buffer that is full drops its oldest message, and says
    nothing. The queue expires; the buffers do not.
    """

    checks_names = True

    def __init__(self, options: LayerOptions, lose: Lose) -> None:
        self.options = options
        self._lose = lose
        self._client = uuid.uuid4().hex
        self._queues: dict[str, _Queue] = {}
        self._buffers: dict[str, deque[Copy]] = {}
        self._readers: dict[str, deque[Reader]] = {}
        self.groups = {}
        self._groups_vanish: dict[str, float] = {}

    def new_channel(self, prefix: str | None) -> str:
        """``specific.<process>!<channel>``."""
        return f"{prefix or 'specific'}.{self._client}!{uuid.uuid4().hex}"

    def members(self, group: str) -> list[str]:
        """The channels in the group that have joined within ``group_expiry``."""
        joined = self.groups.get(group, {})
        now = time.time()
        if now >= self._groups_vanish.get(group, now):
            joined.clear()
        oldest = int(now) - self.options.group_expiry
        for channel in [channel for channel, at in joined.items() if at <= oldest]:
            del joined[channel]
        if not joined:
            self.groups.pop(group, None)
        return list(joined)

    def queue_of(self, channel: str) -> str:
        """That of its process, for a channel of one process; else its own."""
        return channel[: channel.find("!") + 1] if "!" in channel else channel

    def join(self, group: str, channel: str) -> None:
        """Joining again counts as joining now."""
        now = time.time()
        self.groups.setdefault(group, {})[channel] = now
        self._groups_vanish[group] = now + self.options.group_expiry

    def full(self, channels: Sequence[str]) -> list[str]:
        """The channels whose queue has no room."""
        return [channel for channel in channels if self._is_full(channel)]

    def _is_full(self, channel: str) -> bool:
        return len(self._queue(self.queue_of(channel)).entries) >= self.options.capacity_of(channel)

    def put(self, copies: Sequence[Copy]) -> list[Copy]:
        """One entry for each queue, whichever number of its channels the message is for."""
        refused: list[Copy] = []
        by_key: dict[str, list[Copy]] = {}
        for copy in copies:
            by_key.setdefault(self.queue_of(copy.channel), []).append(copy)
        now = time.time()
        for key, group in by_key.items():
            queue = self._queue(key)
            while queue.entries and queue.entries[0].at <= int(now) - int(self.options.expiry):
                self._expire(queue.entries.popleft())
            if self._is_full(group[0].channel):
                refused += group
                continue
            queue.entries.append(_Entry(now, group))
            queue.vanishes = now + int(self.options.expiry)
            self._drain(key)
        return refused

    def start(self, reader: Reader) -> None:
        """The reader's own buffer first; else it waits, and empties the queue meanwhile."""
        buffer = self._buffers.get(reader.channel)
        if buffer:
            reader.give(buffer.popleft())
            if not buffer:
                del self._buffers[reader.channel]
            return
        key = self.queue_of(reader.channel)
        if "!" in key and not key.endswith(f"{self._client}!"):
            raise AssertionError(f"receive({reader.channel!r}): Wrong client prefix: the channel is of another process")
        self._readers.setdefault(key, deque()).append(reader)
        self._drain(key)

    def cancel(self, reader: Reader) -> None:
        """What it was given goes back to its buffer."""
        readers = self._readers.get(self.queue_of(reader.channel), deque())
        if reader in readers:
            readers.remove(reader)
        if reader.copy is not None:
            self._buffers.setdefault(reader.channel, deque()).appendleft(reader.copy)

    def waiting(self) -> list[Copy]:
        """In the buffers, and in the queues that have not expired."""
        return [copy for buffer in self._buffers.values() for copy in buffer] + self._queued()

    def _queued(self) -> list[Copy]:
        return [copy for key in list(self._queues) for entry in self._queue(key).entries for copy in entry.copies]

    def listened(self, channel: str) -> bool:
        """Whether a reader of this very channel waits."""
        return any(
            reader.channel == channel and not reader.gone for reader in self._readers.get(self.queue_of(channel), ())
        )

    def clear(self) -> list[Copy]:
        """Who reads from Redis loses the connection; of the readers of one process, that is the first.

        What a process has taken from Redis into its buffers stays there.
        """
        waiting = self._queued()
        for key, readers in self._readers.items():
            for reader in list(readers)[: 1 if "!" in key else None]:
                readers.remove(reader)
                reader.fail(_connection_error())
        self._queues.clear()
        self.groups.clear()
        return waiting

    def _queue(self, key: str) -> _Queue:
        queue = self._queues.setdefault(key, _Queue())
        if time.time() >= queue.vanishes:
            while queue.entries:
                self._expire(queue.entries.popleft())
            queue.vanishes = float("inf")
        return queue

    def _expire(self, entry: _Entry) -> None:
        for copy in entry.copies:
            waited = time.time() - entry.at
            self._lose(copy, "expired", f"it had waited for {waited:.4g} s; expiry is {self.options.expiry:g} s")

    def _drain(self, key: str) -> None:
        entries = self._queue(key).entries
        readers = self._readers.get(key, deque())
        while entries:
            for reader in [reader for reader in readers if reader.gone]:
                readers.remove(reader)
            if not readers:
                return
            for copy in entries.popleft().copies:
                found = next((reader for reader in readers if reader.channel == copy.channel), None)
                if found is not None:
                    readers.remove(found)
                    found.give(copy)
                else:
                    self._buffer(copy)

    def _buffer(self, copy: Copy) -> None:
        buffer = self._buffers.setdefault(copy.channel, deque())
        if len(buffer) >= self.options.capacity:
            self._lose(
                buffer.popleft(),
                "over_capacity",
                f"{len(buffer) + 1} messages were waiting in the process of its consumer, which did not read; "
                "channels-redis drops the oldest of them, and logs nothing",
            )
        buffer.append(copy)
