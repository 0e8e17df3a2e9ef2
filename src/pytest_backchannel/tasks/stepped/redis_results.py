"""The few commands by which Celery keeps results in Redis, over a dictionary; all others are fakeredis'."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class ResultsClient:
    """A client for ``GET``, ``MGET``, ``SET`` with a time to live in seconds, and ``DEL``.

    fakeredis speaks Redis' own protocol with itself, which costs more than running the task. At the first call of
    anything else (the lists and scripts of a chord, ``ttl`` in a test) all that is stored goes to it, and all calls
    from then on.

    Args:
        make: makes the client that knows all commands, empty.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._whole: Any = None
        # By their keys, each with the moment at which it is forgotten.
        self._values: dict[bytes, tuple[bytes, float | None]] = {}

    def get(self, name: Any) -> Any:
        """One value, or None."""
        if self._whole is None and type(name) in (str, bytes):
            return self._value(_bytes(name))
        return self._everything().get(name)

    def mget(self, keys: Any, *more: Any) -> Any:
        """Several values."""
        plain = type(keys) in (list, tuple) and keys and all(type(key) in (str, bytes) for key in keys)
        if self._whole is None and plain and not more:
            return [self._value(_bytes(key)) for key in keys]
        return self._everything().mget(keys, *more)

    def set(self, name: Any, value: Any, ex: Any = None, **options: Any) -> Any:
        """Keep one value.

        Args:
            name: its key.
            value: the value.
            ex: for how long, in seconds; None for ever.
            options: the others of the command.
        """
        plain = type(name) in (str, bytes) and type(value) in (str, bytes)
        if self._whole is not None or options or not plain or not (ex is None or (type(ex) is int and ex > 0)):
            return self._everything().set(name, value, ex=ex, **options)
        self._values[_bytes(name)] = _bytes(value), None if ex is None else time.time() + ex
        return True

    def delete(self, *names: Any) -> Any:
        """Forget values; how many there were."""
        if self._whole is not None or not names or any(type(name) not in (str, bytes) for name in names):
            return self._everything().delete(*names)
        return sum(
            self._value(key) is not None and self._values.pop(key, None) is not None for key in map(_bytes, names)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._everything(), name)

    def _value(self, key: bytes) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        value, until = found
        if until is not None and until <= time.time():
            del self._values[key]
            return None
        return value

    def _everything(self) -> Any:
        if self._whole is None:
            whole, now = self._make(), time.time()
            for key, (value, until) in self._values.items():
                if until is None or until > now:
                    # As it would be had it been stored there: in whole milliseconds.
                    whole.set(key, value, px=None if until is None else max(1, round((until - now) * 1000)))
            self._values.clear()
            self._whole = whole
        return self._whole


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
