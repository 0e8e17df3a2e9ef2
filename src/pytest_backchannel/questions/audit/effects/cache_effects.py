"""What a body writes to caches: in a shadow it stays there, and what it has not written is read from the real one."""

from __future__ import annotations

import socket
import sys
from typing import Any

from ..shadows import outside, told_parent
from .effect_log import note, running

_LOCAL = ("locmem.LocMemCache", "dummy.DummyCache")
_MISS = object()


def install() -> None:
    """Note the writes of this process from now on, and keep them in it."""
    from django.core.cache import caches

    for alias, settings in caches.settings.items():
        if not str(settings.get("BACKEND", "")).endswith(_LOCAL):
            with outside.reading():
                caches[alias] = _overlay(caches[alias], alias)
    _note_local_writes()
    _keep_redis_unwritten()


def _note_local_writes() -> None:
    from django.core.cache.backends.locmem import LocMemCache

    for name in ("add", "delete", "incr", "set"):
        setattr(LocMemCache, name, _noted(name, getattr(LocMemCache, name)))


def _noted(name: str, before: Any) -> Any:
    def write(cache: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
        log = running()
        if log is None:
            return before(cache, key, *args, **kwargs)
        with log.quiet():  # one of them may be made of another
            result = before(cache, key, *args, **kwargs)
        if result is not False:  # add() of what is there, delete() of what is not
            note("cache", f"cache.{name} {key}", of=f"cache.{name}")
        return result

    return write


def _overlay(real: Any, alias: str) -> Any:
    """A cache in memory above another one, which is read where this one says nothing."""
    from django.core.cache.backends.locmem import LocMemCache

    class Overlay(LocMemCache):
        gone: set[Any]
        below: Any

        def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
            found = super().get(key, _MISS, version)
            if found is not _MISS:
                return found
            if (key, version) in self.gone or "all" in self.gone:
                return default
            with outside.reading():
                return self.below.get(key, default, version=version)

        def has_key(self, key: Any, version: Any = None) -> bool:
            return self.get(key, _MISS, version) is not _MISS

        def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
            super().set(key, value, *args, **kwargs)

        def add(self, key: Any, value: Any, timeout: Any = None, version: Any = None) -> bool:
            if self.has_key(key, version):
                return False
            self.set(key, value, timeout, version)
            return True

        def incr(self, key: Any, delta: int = 1, version: Any = None) -> int:
            before = self.get(key, _MISS, version)
            if before is _MISS:
                raise ValueError(f"Key '{key}' not found")
            self.set(key, before + delta, version=version)
            return int(before + delta)

        def delete(self, key: Any, version: Any = None) -> bool:
            there = self.has_key(key, version)
            super().delete(key, version)
            self.gone.add((key, version))
            return there

        def touch(self, key: Any, timeout: Any = None, version: Any = None) -> bool:
            return self.has_key(key, version)

        def clear(self) -> None:
            super().clear()
            self.gone.add("all")

    cache = Overlay(f"backchannel-shadow-{alias}", {"timeout": None})
    cache.below, cache.gone = real, set()
    for name in ("add", "delete", "incr", "set"):
        setattr(Overlay, name, _noted(name, vars(Overlay)[name]))
    return cache


# --- private API: redis.connection.AbstractConnection.send_packed_command, seen on redis-py 5–8: every command goes
# --- through it. Where it is called otherwise, a direct command of the project's is not seen.


def _keep_redis_unwritten() -> None:
    """A command that no overlay asks is the project's own, and would reach the real server."""
    module: Any = sys.modules.get("redis.connection")
    owner: Any = getattr(module, "AbstractConnection", None)
    if owner is None or "send_packed_command" not in vars(owner):
        return
    before = owner.send_packed_command

    def send_packed_command(connection: Any, *args: Any, **kwargs: Any) -> Any:
        # Without a socket it connects first, which is refused; fakeredis has no real one, and is copied by the fork.
        if not outside.is_reading() and isinstance(getattr(connection, "_sock", None), socket.socket):
            told_parent.refuse("it talks to Redis itself")
        return before(connection, *args, **kwargs)

    owner.send_packed_command = send_packed_command


# --- end of private API
