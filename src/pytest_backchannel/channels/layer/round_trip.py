"""What a message becomes on its way through Redis: the serialiser's round trip, and a clear error where it fails.

channels-redis 4.2 and 4.3 (serializers.py) pack with ``msgpack.packb`` and unpack with ``msgpack.unpackb``, or the same
with ``json``. The round trip is made with those very functions, so that it holds for whatever they do.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...errors import BackchannelError, NotSerialisable
from ..watch.records import shortened

MAX_CULPRITS = 5


class RoundTrip:
    """The round trip of one serialiser.

    Args:
        serializer: its name in channels-redis (``serializer_format``).
        pack: makes bytes of a message.
        unpack: makes a message of bytes.
    """

    def __init__(self, serializer: str, pack: Callable[[Any], bytes], unpack: Callable[[bytes], Any]) -> None:
        self.serializer = serializer
        self.pack = pack
        self.unpack = unpack

    def packed(self, message: Any) -> bytes:
        """The message as bytes, of which :attr:`unpack` makes what a receiver gets: with lists for tuples.

        Raises:
            NotSerialisable: the sender's serialiser refuses it, or the receiver's does; the message names each value.
        """
        try:
            packed = self.pack(message)
        except Exception as error:
            raise NotSerialisable(self._explain(message, error, "the sender fails")) from None
        try:
            self.unpack(packed)
        except Exception as error:
            raise NotSerialisable(
                self._explain(message, error, "every receiver in production fails, and the sender sees nothing")
            ) from None
        return packed

    def _explain(self, message: Any, error: Exception, who: str) -> str:
        lines = [f"{self.serializer} cannot carry this message, {who} ({type(error).__name__}: {error})"]
        culprits = list(self._culprits(message, "message", set()))
        lines += culprits[:MAX_CULPRITS]
        if len(culprits) > MAX_CULPRITS:
            lines.append(f"… and {len(culprits) - MAX_CULPRITS} more")
        return "\n".join(lines)

    def _culprits(self, value: Any, path: str, seen: set[int]) -> Iterator[str]:
        if id(value) in seen:
            yield f"{path} contains itself"
            return
        if isinstance(value, Mapping):
            for key, item in value.items():
                if not self._carries({key: None}):
                    yield f"{path} has the key {key!r} ({type(key).__name__}): use a str"
                yield from self._culprits(item, f"{path}[{key!r}]", seen | {id(value)})
            if isinstance(value, dict) or any(not self._carries(item) for item in value.values()):
                return
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from self._culprits(item, f"{path}[{index}]", seen | {id(value)})
            return
        if not self._carries(value):
            yield f"{path} is {shortened(value, 60)} ({type(value).__qualname__}): {advice(value)}"

    def _carries(self, value: Any) -> bool:
        try:
            self.unpack(self.pack(value))
        except Exception:
            return False
        return True


def advice(value: object) -> str:
    """What to send instead of a value that no serialiser of channels-redis carries."""
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return "send value.isoformat()"
    if isinstance(value, datetime.timedelta):
        return "send value.total_seconds()"
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return "send str(value)"
    if isinstance(value, (set, frozenset)):
        return "send sorted(value)"
    if isinstance(value, enum.Enum):
        return "send value.value"
    if isinstance(value, int):
        return "send str(value): msgpack integers have 64 bits"
    if hasattr(value, "_meta") and hasattr(value, "pk"):
        return "send its pk, and read the row in the handler"
    if type(value).__name__ == "__proxy__":
        return "a lazy translation: send str(value)"
    return "send plain values: str, bytes, int, float, bool, None, list, dict"


def round_trip_of(serializer: str) -> RoundTrip:
    """The round trip of one ``serializer_format`` of channels-redis.

    Args:
        serializer: ``msgpack`` (the default of channels-redis), ``json``, or a name the project has registered with
            ``channels_redis.serializers.registry``.

    Raises:
        BackchannelError: msgpack is not installed, or nothing is registered by that name.
    """
    if serializer == "msgpack":
        try:
            import msgpack
        except ImportError:
            raise BackchannelError(
                "the channel layer makes the round trip that Redis makes, for which msgpack is needed: "
                "pip install 'pytest-backchannel[channels]'"
            ) from None
        pack: Any = msgpack.packb
        return RoundTrip("msgpack", pack, msgpack.unpackb)
    if serializer == "json":
        return RoundTrip("json", lambda message: json.dumps(message).encode(), json.loads)
    try:
        from channels_redis.serializers import registry

        own = registry.get_serializer(serializer)
    except (ImportError, KeyError) as error:
        raise BackchannelError(
            f"serializer_format = {serializer!r} of the production channel layer is not known here: {error!r}. "
            "It is 'msgpack', 'json', or registered with channels_redis.serializers.registry where the tests import it."
        ) from None
    return RoundTrip(serializer, own.as_bytes, own.from_bytes)
