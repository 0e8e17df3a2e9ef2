"""The values that a scenario names by a word, so that it stays plain data: what tasks are given and return."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any


class Thing:
    """What no serialiser but pickle knows."""

    def __repr__(self) -> str:
        return "Thing()"


class Unpicklable(Exception):
    """An exception that pickle takes apart and can't put together again."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first} {second}")


VALUES: dict[str, Any] = {
    "none": None,
    "number": 1,
    "text": "é",
    "list": [1, [2]],
    "map": {"a": 1},
    "tuple": (1, 2),
    "bytes": b"x",
    "set": {1},
    "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "decimal": decimal.Decimal("1.50"),
    "uuid": uuid.UUID(int=1),
    "number keys": {1: 2},
    "big": 2**70,
    "thing": Thing(),
    "exception": ValueError("a value"),
}

ERRORS: dict[str, Any] = {
    "ValueError": lambda: ValueError("bad"),
    "KeyError": lambda: KeyError("missing"),
    "Unpicklable": lambda: Unpicklable("first", "second"),
    "MemoryError": lambda: MemoryError(),
    "SystemExit": lambda: SystemExit(3),
    "no text": lambda: ValueError(),
    "not JSON": lambda: ValueError(Thing()),
}
