"""What belongs to another project, changed for a while and put back exactly."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

#: Stands for no value at all.
MISSING: Any = object()


def put(target: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    """Give the keys these values; a key whose value is :data:`MISSING` goes.

    Args:
        target: what is changed in place.
        values: the values by key.
    """
    for key, value in values.items():
        if value is MISSING:
            target.pop(key, None)
        else:
            target[key] = value


def kept(target: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """What to :func:`put` later to have these keys as they are now."""
    return {key: target.get(key, MISSING) for key in keys}


def exchange(target: MutableMapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The same as :func:`put`; returns what to put to have those keys, and no others, as before."""
    before = kept(target, values)
    put(target, values)
    return before


class changed:
    """Within the block, the keys have these values, or are not there; afterwards they are as before.

    A class, and so is :class:`replaced`: ten of them stand around each test with a task queue, and a generator costs
    three times as much.

    Args:
        target: what is changed in place.
        values: the values by key.

    Example:
        >>> with changed(os.environ, {"CELERY_BROKER_URL": MISSING}):
        ...     app.connection()
    """

    __slots__ = ("_before", "_target", "_values")

    def __init__(self, target: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
        self._target = target
        self._values = values

    def __enter__(self) -> None:
        self._before = exchange(self._target, self._values)

    def __exit__(self, *error: object) -> None:
        put(self._target, self._before)


# Functions of ours whose time is over, and what they pass their calls on to.
_over: WeakKeyDictionary[Callable[..., Any], Any] = WeakKeyDictionary()


class replaced:
    """Within the block, an attribute that a class or module has itself is another; afterwards it is as before.

    A wrapper that somebody else puts around it meanwhile, such as a library that watches calls, stays where it is. What
    is ours below it only passes calls on from then on, and goes when they put back what they have found.

    Args:
        owner: the class or module.
        name: the name of the attribute.
        replacement: what stands there meanwhile.
    """

    __slots__ = ("_before", "_name", "_ours", "_owner", "_replacement")

    def __init__(self, owner: Any, name: str, replacement: Any) -> None:
        self._owner = owner
        self._name = name
        self._replacement = replacement

    def __enter__(self) -> None:
        before = vars(self._owner)[self._name]
        while (passed_to := _over.get(before) if isinstance(before, FunctionType) else None) is not None:
            before = passed_to
        ours = self._replacement
        self._before, self._ours = before, _switchable(ours, before) if isinstance(ours, FunctionType) else ours
        setattr(self._owner, self._name, self._ours)

    def __exit__(self, *error: object) -> None:
        if isinstance(self._ours, FunctionType):
            _over[self._ours] = self._before
        if vars(self._owner).get(self._name) is self._ours:
            setattr(self._owner, self._name, self._before)


def _switchable(replacement: Callable[..., Any], before: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is the replacement until it is over, looks like the one before, and then is that one."""

    @functools.wraps(before)
    def ours(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return (before if ours in _over else replacement)(*args, **kwargs)

    return ours
