"""What some objects hold at one moment, to be compared with what they hold later."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import chain
from operator import is_, itemgetter, methodcaller
from queue import LifoQueue
from typing import Any

# What is looked into: instances of classes of these packages, and plain containers.
PACKAGES = ("celery.", "kombu.", "vine.", "pytest_backchannel.tasks.stepped.")
# Not looked into: a promise of something that is not made yet, and the order of Celery's boot steps.
CONSTANT = frozenset({"lazy", "DependencyGraph", "StepFormatter"})
_MAPPINGS = (dict, OrderedDict, defaultdict)
_SEQUENCES = (list, deque)


class Snapshot:
    """All that can be reached from some objects: by identity, and in all plain containers too.

    An object is the same where its attributes are the very same objects, in the same order: one that was replaced by
    an equal one counts as changed, for nobody can tell what else it differs in.

    Args:
        roots: where to begin.
        leave: tells of an object that it is not looked into.
    """

    def __init__(self, roots: Iterable[Any], leave: Callable[[Any], bool] = lambda value: False) -> None:
        # Each with the keys and the values that it has; of a set, with a copy.
        self._mappings: list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = []
        self._sequences: list[tuple[Any, tuple[Any, ...]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._names: dict[int, str] = {}
        self.kinds: list[type] = []
        seen: set[int] = set()
        waiting = [(root, type(root).__name__) for root in roots]
        while waiting:
            value, name = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if not leave(value):
                waiting += self._look_into(value, name)
        self._flat = _Flat([mapping for mapping, _, _ in self._mappings])

    def _look_into(self, value: Any, name: str) -> list[tuple[Any, str]]:
        kind: Any = type(value)
        thing: Any = value
        found: list[tuple[Any, str]] = []
        if kind.__name__ in CONSTANT:
            return found
        if isinstance(value, dict) and (kind in _MAPPINGS or _is_looked_into(kind)):
            found += self._mapping(value, name)
        elif kind in _SEQUENCES:
            self._names[id(value)] = name
            self._sequences.append((value, tuple(value)))
            found += [(member, f"{name}[{number}]") for number, member in enumerate(value)]
        elif kind is set:
            self._names[id(value)] = name
            self._sets.append((thing, set(thing)))
        elif kind is tuple:
            found += [(member, f"{name}[{number}]") for number, member in enumerate(value)]
        if _is_looked_into(kind) and hasattr(value, "__dict__"):
            if kind not in self.kinds:
                self.kinds.append(kind)
            found += self._mapping(vars(value), name)
        if kind is LifoQueue:
            found.append((thing.queue, f"{name}.queue"))
        return found

    def _mapping(self, mapping: dict[Any, Any], name: str) -> list[tuple[Any, str]]:
        self._names[id(mapping)] = name
        self._mappings.append((mapping, tuple(mapping), tuple(mapping.values())))
        return [(member, f"{name}.{key}") for key, member in mapping.items()]

    def put_back(self, containers: Iterable[Any]) -> None:
        """Let containers hold what they held, in the same order; one that is not known stays as it is."""
        wanted = {id(container) for container in containers}
        for mapping, keys, values in self._mappings:
            if id(mapping) in wanted:
                dict.clear(mapping)
                dict.update(mapping, zip(keys, values, strict=True))
        for sequence, members in self._sequences:
            if id(sequence) in wanted:
                sequence.clear()
                sequence.extend(members)
        for now, before in self._sets:
            if id(now) in wanted:
                now.clear()
                now.update(before)

    def is_same(self) -> bool:
        """Whether all of them are as they were."""
        return (
            self._flat.is_same()
            and all(
                len(sequence) == len(members) and all(map(is_, sequence, members))
                for sequence, members in self._sequences
            )
            and all(now == before for now, before in self._sets)
        )

    def differences(self) -> list[str]:
        """What has changed, for a human: paths from the roots."""
        found = []
        for mapping, keys, values in self._mappings:
            before = dict(zip(keys, values, strict=True))
            for key in [*before, *(key for key in mapping if key not in before)]:
                if key not in mapping or key not in before or mapping[key] is not before[key]:
                    found.append(f"{self._names[id(mapping)]}.{key}")
            if list(mapping) != list(keys) and not found:
                found.append(f"{self._names[id(mapping)]}: other order")
        for sequence, members in self._sequences:
            if len(sequence) != len(members) or not all(map(is_, sequence, members)):
                found.append(self._names[id(sequence)])
        found += [self._names[id(now)] for now, before in self._sets if now != before]
        return found


class _Flat:
    """What many mappings hold, compared in one go: it is done in each test, for a hundred objects with few attributes.

    Args:
        mappings: the mappings.
    """

    def __init__(self, mappings: Iterable[Any]) -> None:
        self._mappings = tuple(mappings)
        self._lengths = tuple(map(len, self._mappings))
        self._keys = tuple(chain.from_iterable(self._mappings))
        self._values = tuple(chain.from_iterable(map(_values, self._mappings)))

    def is_same(self) -> bool:
        """Whether they have the same keys, in the same order, with the very same objects."""
        mappings = self._mappings
        return (
            tuple(map(len, mappings)) == self._lengths
            and all(map(is_, chain.from_iterable(map(_values, mappings)), self._values))
            and tuple(chain.from_iterable(mappings)) == self._keys
        )


_values = methodcaller("values")


class Methods:
    """The attributes of Celery's and kombu's classes: what a test patches there is not in what is made already.

    Args:
        kinds: the classes; those that they inherit from are looked at too.
    """

    # Replaced by ours while a queue is active, and written to Celery's boot steps when a worker is built.
    BESIDES = frozenset({"_establish_connection", "requires"})

    def __init__(self, kinds: Iterable[type]) -> None:
        bases = dict.fromkeys(base for kind in kinds for base in kind.__mro__)
        self._classes = []
        for base in bases:
            names = [name for name in vars(base) if name not in self.BESIDES]
            if base.__module__.startswith(("celery.", "kombu.")) and len(names) > 1:
                get = itemgetter(*names)
                self._classes.append((vars(base), len(vars(base)), get, get(vars(base))))

    def are_same(self) -> bool:
        """Whether all of them are as they were."""
        try:
            for now, length, get, values in self._classes:
                # Equal is enough here: functions are so only to themselves, and constants stay what they are.
                if len(now) != length or get(now) != values:
                    return False
        except KeyError:
            return False
        return True


def _is_looked_into(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(PACKAGES)
