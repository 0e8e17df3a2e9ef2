"""What belongs to another project, changed for a while and put back exactly."""

from __future__ import annotations

from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
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


def exchange(target: MutableMapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The same as :func:`put`; returns what to put to have those keys, and no others, as before."""
    before = {key: target.get(key, MISSING) for key in values}
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


@contextmanager
def replaced(owner: Any, name: str, replacement: Any) -> Generator[None]:
    """Within the block, an attribute that a class or module has itself is another; afterwards it is as before.

    Args:
        owner: the class or module.
        name: the name of the attribute.
        replacement: what stands there meanwhile.
    """
    before = vars(owner)[name]
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, before)
