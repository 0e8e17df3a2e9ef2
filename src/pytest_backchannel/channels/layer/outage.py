"""A layer that can't be reached, for as many calls as a test asks for: what channels-redis raises without its Redis."""

from __future__ import annotations

from ...errors import BackchannelError
from ...events import EventLog, Location, caller
from .records import CallRefused


class Outage:
    """How many of the next calls of one layer are refused.

    Args:
        layer: the alias of the layer.
        log: where it is recorded.
    """

    def __init__(self, layer: str, log: EventLog) -> None:
        self._layer = layer
        self._log = log
        self._left = 0

    def refuse(self, times: object) -> None:
        """Let the next calls be refused.

        Raises:
            TypeError: ``times`` is no whole number.
            ValueError: it is below 1.
            BackchannelError: redis-py is not installed.
        """
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError(f"refuse(times={times!r}): give a whole number, such as 1")
        if times < 1:
            raise ValueError(f"refuse(times={times!r}): give a number above 0")
        connection_error("")  # where it can't be made, the test hears of it here and not in the code under test
        self._left += times

    def meet(self, call: str, target: str, where: Location | None = None) -> None:
        """Raise what an unreachable Redis raises, where this call is to be refused.

        Args:
            call: the method of the layer.
            target: the group or channel that it is about.
            where: the line of the call, where that is known no more; the line that runs now by default.

        Raises:
            redis.exceptions.ConnectionError: it is to be.
        """
        if not self._left:
            return
        self._left -= 1
        self._log.record(CallRefused, where=where or caller(), call=call, target=target, layer=self._layer)
        raise connection_error("Error 111 connecting to the channel layer's Redis. Connection refused.")


def connection_error(text: str) -> Exception:
    """What redis-py raises where no server listens; channels-redis 4.2–4.3 lets it through.

    Raises:
        BackchannelError: redis-py is not installed.
    """
    try:
        from redis.exceptions import ConnectionError as Unreachable
    except ImportError:
        raise BackchannelError(
            "channel_layer.refuse() raises what channels-redis does when its Redis can't be reached, "
            "redis.exceptions.ConnectionError, and redis-py is not installed. Fix: pip install redis"
        ) from None
    return Unreachable(text)
