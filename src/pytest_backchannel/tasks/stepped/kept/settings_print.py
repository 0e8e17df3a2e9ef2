"""The settings of an app at one moment, to be compared with those of a later one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import is_
from types import ModuleType
from typing import Any

from celery.app.defaults import _OLD_SETTING_KEYS, SETTING_KEYS
from celery.utils.collections import DictAttribute
from kombu.entity import Exchange, Queue, binding

from .snapshot import Snapshot

# --- private API: celery.utils.collections.ConfigurationView and celery.app.defaults, seen on celery 5.5–5.7: the
# --- layers of a configuration, the names of all settings; django.conf, seen on 4.2–6.0: the layers of its settings.

# Of what belongs to others too (Django's settings, a module), only these, and those with the app's own prefix.
NAMES = frozenset({*SETTING_KEYS, *_OLD_SETTING_KEYS, "TIME_ZONE", "USE_TZ"})


class Unknown(Exception):
    """The settings come from an object whose values can't be told without asking for each of them."""


class SettingsPrint:
    """What is set, in each layer: the same objects, and in containers and kombu's queues the same content.

    Args:
        conf: the app's configuration, loaded.
        besides: names in its layer of changes that do not count.

    Raises:
        Unknown: the settings can't be compared.
    """

    def __init__(self, conf: Any, besides: frozenset[str]) -> None:
        self._besides = besides
        self._layers = [_Layer(layer) for layer in _layers(conf, besides)]
        self._inside = Snapshot([value for layer in self._layers for value in layer.values], leave=_has_no_inside)

    def is_same(self, conf: Any) -> bool:
        """Whether all is as it was."""
        now = list(_layers(conf, self._besides))
        return len(now) == len(self._layers) and all(map(_Layer.is_same, self._layers, now)) and self._inside.is_same()


class _Layer:
    """What one layer holds; a value that is not plain is the same where it is the very same object."""

    def __init__(self, layer: Mapping[str, Any]) -> None:
        self._copy = dict(layer)
        self._names = [name for name, value in layer.items() if not isinstance(value, _PLAIN)]
        self.values = [layer[name] for name in self._names]

    def is_same(self, layer: Mapping[str, Any]) -> bool:
        try:
            return layer == self._copy and all(map(is_, map(layer.__getitem__, self._names), self.values))
        except Exception:  # of a comparison: with something else, then
            return False


_PLAIN = (str, int, float, bool, type(None), bytes)


def _has_no_inside(value: Any) -> bool:
    kind = type(value)
    return not (
        kind in (dict, list, set, tuple)
        or isinstance(value, Queue | Exchange | binding)
        or kind.__module__ == "celery.schedules"
    )


def _layers(conf: Any, besides: frozenset[str]) -> Iterator[Mapping[str, Any]]:
    prefix = conf.prefix or ""
    for mapping in conf.maps:
        source = mapping.obj if isinstance(mapping, DictAttribute) else mapping
        if source is conf.changes:
            yield {name: value for name, value in source.items() if name not in besides}
        elif type(source) is dict or isinstance(source, dict):
            yield source
        else:
            yield from _of_an_object(source, prefix)


def _of_an_object(source: Any, prefix: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(source, ModuleType):
        yield _chosen(vars(source), prefix)
    elif isinstance(source, type):
        for kind in source.__mro__[:-1]:
            yield _chosen(vars(kind), prefix)
    elif (wrapped := vars(source).get("_wrapped")) is not None and type(source).__module__ == "django.conf":
        yield _of_django(wrapped, prefix)
    else:
        raise Unknown(type(source).__name__)


def _of_django(settings: Any, prefix: str) -> Mapping[str, Any]:
    """Its settings, below all of ``override_settings`` that hold now."""
    chain = [vars(settings)]
    while (below := chain[-1].get("default_settings")) is not None:
        chain.append(vars(below))
    found: dict[str, Any] = {}
    for layer in reversed(chain):
        found.update(_chosen(layer, prefix))
        for name in layer.get("_deleted", ()):
            found.pop(name, None)
    return found


def _chosen(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    names = _names_in(tuple(values), prefix)
    return {name: values[name] for name in names}


def _names_in(names: tuple[str, ...], prefix: str) -> list[str]:
    key = (prefix, names)
    try:
        return _known_names[key]
    except KeyError:
        upper, lower = prefix.upper(), prefix.lower()
        found = [name for name in names if name in NAMES or (prefix and name.startswith((upper, lower)))]
        if len(_known_names) >= MOST_KNOWN:
            _known_names.clear()
        _known_names[key] = found
        return found


MOST_KNOWN = 64
_known_names: dict[tuple[str, tuple[str, ...]], list[str]] = {}

# --- end of private API
