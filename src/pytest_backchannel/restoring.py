"""What belongs to another project, changed for a while and put back exactly."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Mapping, MutableMapping
from contextlib import contextmanager
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


@contextmanager
def changed(target: MutableMapping[str, Any], values: Mapping[str, Any]) -> Generator[None]:
    """Within the block, the keys have these values, or are not there; afterwards they are as before.

    Example:
        >>> with changed(os.environ, {"CELERY_BROKER_URL": MISSING}):
        ...     app.connection()
    """
    before = exchange(target, values)
    try:
        yield
    finally:
        put(target, before)


# Functions of ours whose time is over, and what they pass their calls on to.
_over: WeakKeyDictionary[Callable[..., Any], Any] = WeakKeyDictionary()


@contextmanager
def replaced(owner: Any, name: str, replacement: Any) -> Generator[None]:
    """Within the block, an attribute that a class or module has itself is another; afterwards it is as before.

    A wrapper that somebody else puts around it meanwhile, such as a library that watches calls, stays where it is. What
    is ours below it only passes calls on from then on, and goes when they put back what they have found.

    Args:
        owner: the class or module.
        name: the name of the attribute.
        replacement: what stands there meanwhile.
    """
    before = vars(owner)[name]
    while (passed_to := _over.get(before) if isinstance(before, FunctionType) else None) is not None:
        before = passed_to
    ours = _switchable(replacement, before) if isinstance(replacement, FunctionType) else replacement
    setattr(owner, name, ours)
    try:
        yield
    finally:
        if isinstance(ours, FunctionType):
            _over[ours] = before
        if vars(owner).get(name) is ours:
            setattr(owner, name, before)


def _switchable(replacement: Callable[..., Any], before: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is the replacement until it is over, looks like the one before, and then is that one."""

    @functools.wraps(before)
    def ours(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return (before if ours in _over else replacement)(*args, **kwargs)

    return ours
