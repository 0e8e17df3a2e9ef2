"""Fixtures in the classes of ``unittest``, whose methods take none: what they give is ``self.<name>`` there."""

from __future__ import annotations

import contextlib
import unittest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

SERVERS = ("redis_server", "rabbitmq_server")


@contextlib.contextmanager
def given_to(instance: object, name: str, value: Any) -> Generator[None]:
    """Within the block, a test of ``unittest`` has the value of a fixture by its name.

    A class that has an attribute of this name itself keeps it, and a fixture that gives None gives nothing.

    Args:
        instance: that of the test; any other than a ``unittest.TestCase`` is left alone.
        name: the name of the fixture.
        value: what it gives.
    """
    if value is None or not _takes(instance, name):
        yield
        return
    setattr(instance, name, value)
    try:
        yield
    finally:
        vars(instance).pop(name, None)


def give_servers(item: pytest.Item) -> None:
    """The servers too, whose fixtures are of the session, and know no test."""
    instance, values = getattr(item, "instance", None), getattr(item, "funcargs", {})
    for name in SERVERS:
        if name in values and _takes(instance, name):
            setattr(instance, name, values[name])


def resets_sequences(item: pytest.Item) -> bool:
    """Whether a test has asked for keys that begin at 1, or has loaded rows, after which keys go on from theirs."""
    marker, cls = item.get_closest_marker("django_db"), getattr(item, "cls", None)
    return (
        (marker is not None and bool(marker.kwargs.get("reset_sequences", len(marker.args) > 1 and marker.args[1])))
        or "django_db_reset_sequences" in getattr(item, "fixturenames", ())
        or bool(getattr(cls, "reset_sequences", False) or getattr(cls, "fixtures", None))
    )


def _takes(instance: object, name: str) -> bool:
    return isinstance(instance, unittest.TestCase) and not hasattr(type(instance), name)
