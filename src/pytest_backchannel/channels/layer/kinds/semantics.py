"""What a production layer is configured with, and what the two kinds of it have in common.

The modules ``core`` and ``pubsub`` beside this one are the two layers of channels-redis, without Redis: what is kept
where, for how long, and what is dropped. They neither await nor lock: ``StrictLayer`` does. All of it was read in
channels-redis 4.2.1 and 4.3.0 (core.py and pubsub.py do not differ in it), and the project's integration tests compare
it with the real layers on a real Redis. Time is ``time.time()``, so that a virtual clock rules.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ....errors import BackchannelError
from ..readers import Copy, Reader

Lose = Callable[[Copy, str, str], None]


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """The ``CONFIG`` of the production layer, as far as it decides about messages.

    Attributes:
        capacity: how many messages may wait on one channel.
        channel_capacity: other capacities, by a pattern of the channel's name (a glob, or a compiled expression); the
            first that matches counts.
        expiry: how long a message may wait, in seconds.
        group_expiry: how long a channel stays in a group, in seconds.
        serializer_format: the name of the serialiser in channels-redis.
        prefix: what the names of the layer's keys begin with.
    """

    capacity: int = 100
    channel_capacity: Mapping[Any, int] = field(default_factory=dict[Any, int])
    expiry: float = 60
    group_expiry: float = 86400
    serializer_format: str = "msgpack"
    prefix: str = "asgi"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> LayerOptions:
        """Pick them from the ``CONFIG`` of a layer; what does not concern messages is ignored.

        Raises:
            BackchannelError: a value that channels-redis could not work with either.
        """
        known = {name: config[name] for name in cls.__dataclass_fields__ if config.get(name) is not None}
        for name in ("capacity", "expiry", "group_expiry"):
            value = known.get(name, 1)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise BackchannelError(f"CHANNEL_LAYERS: {name} = {value!r}: give a number above 0")
        capacities = known.get("channel_capacity", {})
        if not isinstance(capacities, Mapping) or not all(isinstance(value, int) for value in capacities.values()):
            raise BackchannelError(
                f"CHANNEL_LAYERS: channel_capacity = {capacities!r}: give a dict from pattern to number"
            )
        return cls(**known)

    def capacity_of(self, channel: str) -> int:
        """How many messages may wait on ``channel``."""
        for pattern, capacity in self.channel_capacity.items():
            compiled = pattern if hasattr(pattern, "match") else re.compile(fnmatch.translate(pattern))
            if compiled.match(channel):
                return capacity
        return self.capacity


class LayerSemantics(Protocol):
    """Where messages wait, and who is in which group.

    Attributes:
        checks_names: whether the layer checks the names of channels and groups.
        groups: when each member joined, by group and channel.
    """

    checks_names: bool
    groups: dict[str, dict[str, float]]

    def new_channel(self, prefix: str | None) -> str:
        """Make a channel of this process."""
        ...

    def members(self, group: str) -> list[str]:
        """The channels in a group, in the order in which they joined."""
        ...

    def occupied(self) -> dict[str, int]:
        """How many members each group has that has any."""
        return {group: len(members) for group in list(self.groups) if (members := self.members(group))}

    def queue_of(self, channel: str) -> str:
        """The name of the queue that holds the messages of a channel."""
        ...

    def join(self, group: str, channel: str) -> None:
        """Put a channel into a group."""
        ...

    def leave(self, group: str, channel: str) -> None:
        """Take a channel out of a group, if it is there."""
        joined = self.groups.get(group, {})
        joined.pop(channel, None)
        if not joined:
            self.groups.pop(group, None)

    def full(self, channels: Sequence[str]) -> list[str]:
        """Those of ``channels`` on which no further message may wait now; none where queues are unbounded."""
        return []

    def put(self, copies: Sequence[Copy]) -> list[Copy]:
        """Put the copies of one message on their way; returns those that were refused for lack of room."""
        ...

    def start(self, reader: Reader) -> None:
        """Give the reader what waits for it, or let it wait."""
        ...

    def cancel(self, reader: Reader) -> None:
        """The reader was cancelled; what it was given and did not take goes back to the front."""
        ...

    def waiting(self) -> list[Copy]:
        """All copies that nobody has taken yet."""
        ...

    def listened(self, channel: str) -> bool:
        """Whether a reader waits for the channel now."""
        ...

    def clear(self) -> list[Copy]:
        """Forget everything; returns what was waiting."""
        ...
