"""What belongs to another project, changed for a while and put back exactly."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Generator, Iterable, Mapping, MutableMapping
from types import FunctionType
from typing import Any

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


@contextlib.contextmanager
def no_collection() -> Generator[None]:
    """Within the block, without the garbage collector: for work that makes much, and no cycles.

    To look through all that a project has loaded takes as long as to make its report, and a third of the time that it
    takes to read a large tree.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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


class _Switch:
    """Whether a function of ours does what it is for, or only passes its calls on."""

    __slots__ = ("before", "is_on", "of")

    def __init__(self, before: Callable[..., Any]) -> None:
        self.before = before
        self.is_on = True
        # Which function it is of: functools.wraps() hands attributes on, to what others put around ours.
        self.of = 0


_SWITCH = "_backchannel_switch"


def _switch_of(function: Any) -> _Switch | None:
    found: _Switch | None = vars(function).get(_SWITCH) if isinstance(function, FunctionType) else None
    return found if found is not None and found.of == id(function) else None


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
        while (switch := _switch_of(before)) is not None and not switch.is_on:
            before = switch.before
        self._before, self._ours = before, self._around(before)
        setattr(self._owner, self._name, self._ours)

    def _around(self, before: Any) -> Any:
        ours = self._replacement
        return _switchable(ours, before) if isinstance(ours, FunctionType) else ours

    def __exit__(self, *error: object) -> None:
        switch = _switch_of(self._ours)
        if switch is not None:
            switch.is_on = False
        if vars(self._owner).get(self._name) is self._ours:
            setattr(self._owner, self._name, self._before)


class Wrapper:
    """A wrapper that is put around an attribute in every test, and made once for what it is around.

    Args:
        owner: the class or module.
        name: the name of the attribute, a function.
        make: makes the wrapper of what it is around.

    Example:
        >>> refusing = Wrapper(Connection, "connect", make_refusing)
        >>> with refusing.in_place():
        ...     app.connection()
    """

    def __init__(self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self.owner = owner
        self.name = name
        self._make = make
        self._before: Any = None
        self._ours: Any = None

    def in_place(self) -> replaced:
        """As :class:`replaced`."""
        return _InPlace(self)

    def around(self, before: Any) -> Any:
        """The wrapper of this function: the last one, where it was of the same."""
        if self._before is not before:
            self._before, self._ours = before, _switchable(self._make(before), before)
        vars(self._ours)[_SWITCH].is_on = True
        return self._ours


class _InPlace(replaced):
    __slots__ = ()

    def __init__(self, wrapper: Wrapper) -> None:
        super().__init__(wrapper.owner, wrapper.name, wrapper)

    def _around(self, before: Any) -> Any:
        return self._replacement.around(before)


def _switchable(replacement: Callable[..., Any], before: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is the replacement until it is switched off, looks like the one before, and then is that one."""
    switch = _Switch(before)

    @functools.wraps(before)
    def ours(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return (replacement if switch.is_on else before)(*args, **kwargs)

    switch.of = id(ours)
    vars(ours)[_SWITCH] = switch
    return ours
