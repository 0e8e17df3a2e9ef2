"""What a body writes to caches: in a shadow it stays there, and what it has not written is read from the real one."""

from __future__ import annotations

from typing import Any

from ..shadows import outside
from .effect_log import note, running

_LOCAL = ("locmem.LocMemCache", "dummy.DummyCache")
_NAMES = ("add", "delete", "incr", "set")


def install() -> None:
    """Note the writes of this process from now on, and keep them in it."""
    from django.core.cache import caches
    from django.core.cache.backends.locmem import LocMemCache

    from ..stores.overlaid_cache import OverlaidCache, overlay

    for alias, settings in caches.settings.items():
        if not str(settings.get("BACKEND", "")).endswith(_LOCAL):
            with outside.reading():
                caches[alias] = overlay(caches[alias])
    for owner in (LocMemCache, OverlaidCache):
        for name in _NAMES:
            setattr(owner, name, _noted(name, getattr(owner, name)))


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
