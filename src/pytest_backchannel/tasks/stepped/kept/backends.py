"""Result backends made again as one was made: reading forty settings for each costs more than running a task.

A backend itself is never kept: a result of an earlier test would go on asking it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from celery.backends.base import _nulldict, pending_results_t
from celery.utils.collections import BufferMap
from kombu.utils.functional import LRUCache

from .settings_print import SettingsPrint, Unknown

# --- private API: celery.backends.base.Backend, seen on celery 5.5–5.7: what a backend holds when it is new. All else
# --- that an instance has, of another kind, means that it is built anew each time.

_SHARED = (str, bytes, int, float, bool, type(None), FunctionType, BuiltinFunctionType, type)
_EMPTY = (set, dict, frozenset)


class Pattern:
    """A new backend, of which more can be made while the settings stay as they are.

    Args:
        backend: the backend, not used yet.
        conf: the app's configuration.
        besides: names of settings that do not count.
        shared: attributes that all of them may have in common.

    Raises:
        Unknown: it holds something that it is not known how to make again.
    """

    def __init__(self, backend: Any, conf: Any, besides: frozenset[str], shared: tuple[str, ...]) -> None:
        self._kind: Any = type(backend)
        self._settings = SettingsPrint(conf, besides)
        self._made = [(name, _maker(name, value, backend, shared)) for name, value in vars(backend).items()]

    def again(self, conf: Any) -> Any:
        """Another backend of the same kind; None where the settings are others."""
        if not self._settings.is_same(conf):
            return None
        backend = self._kind.__new__(self._kind)
        own = vars(backend)
        for name, make in self._made:
            own[name] = make(backend)
        return backend


def _maker(name: str, value: Any, old: Any, shared: tuple[str, ...]) -> Callable[[Any], Any]:
    """How a value of one backend is made for another: what can change is never shared."""
    kind = type(value)
    if kind in _SHARED or name in shared or (kind is tuple and all(type(one) in _SHARED for one in value)):
        return lambda backend: value
    if kind is MethodType and value.__self__ is old:
        function = value.__func__
        return lambda backend: MethodType(function, backend)
    if kind in (set, frozenset, dict, list) and all(type(one) in _SHARED for one in _members(value)):
        content = value.copy()
        return lambda backend: content.copy()
    if kind is LRUCache and not value.data:
        return lambda backend: LRUCache(limit=value.limit)
    if kind is BufferMap and not value.total:
        return lambda backend: BufferMap(value.maxsize)
    if kind is _nulldict:
        return lambda backend: _nulldict()
    if kind is pending_results_t and not any(value):
        kinds = [type(one) for one in value]
        return lambda backend: pending_results_t(*(one() for one in kinds))
    raise Unknown(f"{type(old).__name__}.{name}")


def _members(value: Any) -> list[Any]:
    return [*value, *value.values()] if isinstance(value, dict) else [*value]


# --- end of private API
