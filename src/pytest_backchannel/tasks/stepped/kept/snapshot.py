"""What some objects hold at one moment, to be compared with what they hold later."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from operator import eq, getitem, is_, itemgetter
from queue import LifoQueue
from types import BuiltinFunctionType, MethodType
from typing import Any
from weakref import ref

# What is looked into: instances of classes of these packages, and plain containers.
PACKAGES = ("celery.", "kombu.", "vine.", "pytest_backchannel.tasks.stepped.")
# Not looked into: a promise of something that is not made yet, and the order of Celery's boot steps.
CONSTANT = frozenset({"lazy", "DependencyGraph", "StepFormatter"})
_MAPPINGS = (dict, OrderedDict, defaultdict)
_SEQUENCES = (list, deque)


class Snapshot:
    """All that can be reached from some objects: by identity, and in all plain containers too.

    An object is the same where its attributes are the very same objects. One that was replaced by an equal one counts
    as changed where nobody can tell what else it differs in: a queue of kombu's is equal to another one of its name.
    A plain value, or a container, is as good as an equal one.

    It is compared in each test, with some hundred objects of few attributes, and so in few loops, of C.

    Args:
        roots: where to begin.
        leave: tells of an object that it is not looked into.
    """

    def __init__(self, roots: Iterable[Any], leave: Callable[[Any], bool] = lambda value: False) -> None:
        # By identity: what is looked into, and a copy.
        self._things: dict[int, tuple[Any, Any]] = {}
        self._names: dict[int, str] = {}
        self._ordered: list[Any] = []
        self.kinds: list[type] = []
        strict: list[tuple[Any, Any, Any]] = []
        seen: set[int] = set()
        waiting = [(root, type(root).__name__) for root in roots]
        while waiting:
            value, name = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if not leave(value):
                for owner, key, member, called in self._look_into(value, name):
                    waiting.append((member, called))
                    if owner is not None and not _equal_is_enough(type(member)):
                        strict.append((owner, key, member))
        self._now = [thing for thing, _ in self._things.values()]
        self._copies = [copy for _, copy in self._things.values()]
        self._owners = [owner for owner, _, _ in strict]
        self._keys = [key for _, key, _ in strict]
        self._members = [member for _, _, member in strict]
        self._orders = [list(mapping) for mapping in self._ordered]

    def _look_into(self, value: Any, name: str) -> list[tuple[Any, Any, Any, str]]:
        """What is in it: each with what holds it there, under which key, and what it is called."""
        kind: Any = type(value)
        thing: Any = value  # for type checkers, which narrow the other one
        found: list[tuple[Any, Any, Any, str]] = []
        if kind.__name__ in CONSTANT:
            return found
        if isinstance(value, dict) and (kind in _MAPPINGS or _is_looked_into(kind)):
            if len(value) > 1:
                self._ordered.append(value)
            found += self._mapping(value, name)
        elif kind in _SEQUENCES:
            self._keep(value, kind(value), name)
            found += [(value, number, member, f"{name}[{number}]") for number, member in enumerate(value)]
        elif kind is set:
            self._keep(value, set(value), name)
        elif kind is tuple:
            found += [(None, number, member, f"{name}[{number}]") for number, member in enumerate(value)]
        if _is_looked_into(kind) and hasattr(value, "__dict__"):
            if kind not in self.kinds:
                self.kinds.append(kind)
            found += self._mapping(vars(value), name)
        if kind is LifoQueue:
            found.append((None, "queue", thing.queue, f"{name}.queue"))
        return found

    def _keep(self, thing: Any, copy: Any, name: str) -> None:
        self._things[id(thing)] = thing, copy
        self._names[id(thing)] = name

    def _mapping(self, mapping: dict[Any, Any], name: str) -> list[tuple[Any, Any, Any, str]]:
        self._keep(mapping, dict(mapping), name)
        return [(mapping, key, member, f"{name}.{key}") for key, member in mapping.items()]

    def put_back(self, containers: Iterable[Any]) -> None:
        """Let containers hold what they held, in the same order; one that is not known stays as it is."""
        for thing, copy in filter(None, (self._things.get(id(container)) for container in containers)):
            thing.clear()
            (thing.update if isinstance(thing, dict | set) else thing.extend)(copy)

    def is_same(self) -> bool:
        """Whether all of them are as they were."""
        try:
            return (
                all(map(eq, self._now, self._copies))
                and all(map(is_, map(getitem, self._owners, self._keys), self._members))
                and list(map(list, self._ordered)) == self._orders
            )
        except Exception:  # of a comparison: with something else, then
            return False

    def differences(self) -> list[str]:
        """What has changed, for a human: paths from the roots."""
        found = []
        for thing, copy in self._things.values():
            name = self._names[id(thing)]
            if not isinstance(thing, dict):
                if thing != copy:
                    found.append(name)
                continue
            different = [
                f"{name}.{key}"
                for key in [*copy, *(key for key in thing if key not in copy)]
                if key not in thing or key not in copy or thing[key] != copy[key]
            ]
            found += different
            if not different and any(thing is one for one in self._ordered) and list(thing) != list(copy):
                found.append(f"{name}: other order")
        for owner, key, member in zip(self._owners, self._keys, self._members, strict=True):
            if self._holds_another(owner, key, member):
                found.append(f"{self._names[id(owner)]}.{key}")
        return list(dict.fromkeys(found))

    @staticmethod
    def _holds_another(owner: Any, key: Any, member: Any) -> bool:
        try:
            return owner[key] is not member
        except LookupError:
            return True


# Of these, two that are equal can't be told apart by what uses them, or what is in them is compared as well.
_ALIKE = frozenset(
    {
        str, int, float, bool, bytes, type(None), BuiltinFunctionType, MethodType, ref,
        dict, OrderedDict, defaultdict, list, deque, set, frozenset, tuple,
    }
)  # fmt: skip


def _equal_is_enough(kind: type) -> bool:
    """Whether equal instances are as good as the same one, or are equal only to themselves."""
    own: Any = kind.__eq__
    return kind in _ALIKE or own is object.__eq__


class Methods:
    """The attributes of Celery's and kombu's classes: what a test patches there is not in what is made already.

    Args:
        kinds: the classes; those that they inherit from are looked at too.
    """

    # Replaced by ours while a queue is active.
    BESIDES = frozenset({"_establish_connection", "maybe_expire"})

    def __init__(self, kinds: Iterable[type]) -> None:
        bases = dict.fromkeys(base for kind in kinds for base in kind.__mro__)
        ours = [base for base in bases if base.__module__.startswith(("celery.", "kombu."))]
        whole = [base for base in ours if self.BESIDES.isdisjoint(vars(base))]
        self._whole = tuple(vars(base) for base in whole)
        self._copies = tuple(dict(vars(base)) for base in whole)
        self._parts: list[tuple[Mapping[str, Any], int, Callable[[Any], Any], Any]] = []
        for base in ours:
            names = [name for name in vars(base) if name not in self.BESIDES]
            if base not in whole and len(names) > 1:
                get = itemgetter(*names)
                self._parts.append((vars(base), len(vars(base)), get, get(vars(base))))

    def are_same(self) -> bool:
        """Whether all of them are as they were."""
        # Equal is enough here: functions are so only to themselves, and constants stay what they are.
        try:
            return all(map(eq, self._whole, self._copies)) and all(
                len(now) == length and get(now) == values for now, length, get, values in self._parts
            )
        except KeyError:
            return False


def _is_looked_into(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(PACKAGES)
