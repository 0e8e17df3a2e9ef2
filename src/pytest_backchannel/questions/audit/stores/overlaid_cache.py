"""A cache in memory above a real one, for a shadow: what it has not written is read below, and nothing is written."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from ..shadows import outside, told_parent
from .redis_guard import cached_keys

_MISS = object()
_OF_REDIS = ("django_redis", "django_valkey", "django.core.cache.backends.redis")


def overlay(real: Any) -> Any:
    """A cache to put in the place of a real one."""
    return (_OverlaidRedis if hasattr(real, "delete_pattern") else OverlaidCache)(real)


class OverlaidCache(BaseCache):
    """The overlay.

    What it does not have itself, the project asks of the real cache: one in Redis goes by a client there, which is
    watched; of another one nobody knows what it does.

    Args:
        real: the cache below.
    """

    def __init__(self, real: Any) -> None:
        super().__init__({})
        self.below = real
        for name in ("default_timeout", "key_prefix", "version", "key_func"):
            if hasattr(real, name):
                setattr(self, name, getattr(real, name))
        # By the whole key: what was written here (None where it was deleted), until when, and the key and its version.
        self._written: dict[str, tuple[bytes | None, float | None, Any, Any]] = {}
        self._cleared = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "below" not in vars(self):
            raise AttributeError(name)
        value = getattr(self.below, name)
        known = any(kind.__module__.startswith(_OF_REDIS) for kind in type(self.below).__mro__)
        if known or isinstance(value, str | bytes | int | float | None):
            return value
        if not callable(value):
            self._refuse(name)
        return lambda *args, **kwargs: self._refuse(f"{name}()")

    def _refuse(self, what: str) -> NoReturn:
        told_parent.refuse(f"it uses {what} of {type(self.below).__name__}, which may write past the audit")

    # ---------------------------------------------------------------- what Django asks of a cache

    def get(self, key: Any, default: Any = None, version: Any = None, client: Any = None) -> Any:
        """Read it here, or below."""
        whole = self._whole(key, version)
        if whole in self._written:
            data = self._here(whole)
            return default if data is None else pickle.loads(data)
        if self._cleared:
            return default
        with outside.reading():
            return self.below.get(key, default, version=version)

    def has_key(self, key: Any, version: Any = None, client: Any = None) -> bool:
        """Whether it is there."""
        return self.get(key, _MISS, version) is not _MISS

    def set(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Any = None,
        client: Any = None,
        nx: bool = False,
        xx: bool = False,
    ) -> bool | None:
        """Write it here. ``nx`` and ``xx`` are those of django-redis."""
        if (nx or xx) and self.has_key(key, version) is nx:
            return False
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        until = None if seconds is None else time.time() + seconds
        self._write(key, version, pickle.dumps(value, pickle.HIGHEST_PROTOCOL), until)
        return True

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, client: Any = None
    ) -> bool:
        """Write it where it is not there."""
        return self.set(key, value, timeout, version, nx=True) is not False

    def incr(
        self, key: Any, delta: int = 1, version: Any = None, client: Any = None, ignore_key_check: bool = False
    ) -> int:
        """Add to a number, which expires when it did."""
        before = self.get(key, _MISS, version)
        if before is _MISS and not ignore_key_check:
            raise ValueError(f"Key {key!r} not found")
        value = int((0 if before is _MISS else before) + delta)
        self._write(key, version, pickle.dumps(value), self._until(key, version))
        return value

    def delete(self, key: Any, version: Any = None, client: Any = None) -> bool:
        """Delete it here."""
        there = self.has_key(key, version)
        self._write(key, version, None, None)
        return there

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, client: Any = None) -> bool:
        """Give it another time to expire."""
        value = self.get(key, _MISS, version)
        if value is _MISS:
            return False
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        self._write(key, version, pickle.dumps(value), None if seconds is None else time.time() + seconds)
        return True

    def clear(self) -> None:
        """Nothing of what is below is there any more."""
        self._written.clear()
        self._cleared = True

    def close(self, **kwargs: Any) -> None:
        """The parent has the real one open, too."""

    # ------------------------------------------------------------------------------ in memory

    def _whole(self, key: Any, version: Any) -> str:
        return str(key if type(key).__name__ == "CacheKey" else self.make_key(key, version))

    def _write(self, key: Any, version: Any, data: bytes | None, until: float | None) -> None:
        whole = self._whole(key, version)
        self._written[whole] = (data, until, key, self.version if version is None else version)
        cached_keys.add(whole.encode("utf-8", "surrogateescape"))

    def _here(self, whole: str) -> bytes | None:
        data, until, *_ = self._written[whole]
        return None if until is not None and until <= time.time() else data

    def _until(self, key: Any, version: Any) -> float | None:
        """When a key expires, as far as it is known; None for never."""
        return self._written.get(self._whole(key, version), (None, None))[1]


class _OverlaidRedis(OverlaidCache):
    """What django-redis adds to Django's caches, and is about keys that the overlay may have."""

    def ttl(self, key: Any, version: Any = None, client: Any = None) -> int | None:
        left = self.pttl(key, version)
        return None if left is None else -(-left // 1000)

    def pttl(self, key: Any, version: Any = None, client: Any = None) -> int | None:
        if not self.has_key(key, version):
            return 0
        if self._whole(key, version) in self._written:
            until = self._until(key, version)
            return None if until is None else max(0, int((until - time.time()) * 1000))
        with outside.reading():
            left = self.below.pttl(key, version=version)
        return None if left is None else int(left)

    def persist(self, key: Any, version: Any = None, client: Any = None) -> bool:
        return self.ttl(key, version) is not None and self.touch(key, None, version)

    def expire(self, key: Any, timeout: Any, version: Any = None, client: Any = None) -> bool:
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
        return self.touch(key, seconds, version)

    def pexpire(self, key: Any, timeout: Any, version: Any = None, client: Any = None) -> bool:
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout / 1000
        return self.touch(key, seconds, version)

    def expire_at(self, key: Any, when: Any, version: Any = None, client: Any = None) -> bool:
        at = when.timestamp() if hasattr(when, "timestamp") else when
        return self.touch(key, at - time.time(), version)

    def pexpire_at(self, key: Any, when: Any, version: Any = None, client: Any = None) -> bool:
        at = when.timestamp() if hasattr(when, "timestamp") else when / 1000
        return self.touch(key, at - time.time(), version)

    def keys(self, search: str, version: Any = None, client: Any = None) -> list[Any]:
        found: dict[Any, None] = {}
        if not self._cleared:
            with outside.reading():
                below = [*self.below.keys(search, version=version)]
            found.update(dict.fromkeys(key for key in below if self._whole(key, version) not in self._written))
        wanted = self.version if version is None else version
        for whole, (_, _, key, of_version) in self._written.items():
            if of_version == wanted and fnmatchcase(str(key), search) and self._here(whole) is not None:
                found[str(key)] = None
        return list(found)

    def iter_keys(self, search: str, itersize: Any = None, client: Any = None, version: Any = None) -> Iterator[Any]:
        return iter(self.keys(search, version))

    def delete_pattern(
        self, pattern: str, version: Any = None, prefix: Any = None, client: Any = None, itersize: Any = None
    ) -> int:
        if prefix is not None:
            told_parent.refuse("it deletes keys of a cache by another prefix (delete_pattern)")
        found = sorted(self.keys(pattern, version))  # a server tells them in the order of its own
        for key in found:
            self.delete(key, version)
        return len(found)

    def _until(self, key: Any, version: Any) -> float | None:
        if self._whole(key, version) in self._written or not self.has_key(key, version):
            return super()._until(key, version)
        left = self.pttl(key, version)
        return None if left is None else time.time() + left / 1000
