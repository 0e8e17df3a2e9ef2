"""What a test has patched by pytest's own ``monkeypatch``, which undoes it without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

# --- private API: MonkeyPatch._setattr, seen on pytest 8–9: what it has replaced, and what stood there before. Where it
# --- is no list of such, nothing is looked at, and a task that is replaced by it is only not told of.


def by_monkeypatch(item: pytest.Item) -> Iterator[tuple[Any, str, Any, Any]]:
    """The patches that are in place now.

    Args:
        item: the test, which has run and is not torn down yet.

    Yields:
        Whose attribute is replaced, its name, what stands there, and what stood there before.
    """
    patches = getattr(getattr(item, "funcargs", {}).get("monkeypatch"), "_setattr", None)
    for entry in patches if isinstance(patches, list) else ():
        if isinstance(entry, tuple) and len(entry) == 3 and isinstance(entry[1], str):
            target, name, original = entry
            there = getattr(target, "__dict__", {}).get(name)
            if there is not None:
                yield target, name, there, original


# --- end of private API
