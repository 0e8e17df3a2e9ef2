"""A value as Python code for an assertion: literals, and the keys of rows that the test has made by their names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Known = Sequence[tuple[Any, str]]
"""Values that the test has names for, each with the code for it."""

_LONGEST = 80
_MOST = 8
# Of a table whose keys start apart; a smaller number is that of a row by chance.
_TELLING = 1000


def expression(value: Any, known: Known) -> str | None:
    """The code for a value; None where it can't be told, or would be no pleasure to read.

    Args:
        value: what was observed.
        known: what the test has names for.
    """
    name = next(
        (code for other, code in known if _is_telling(other) and type(other) is type(value) and other == value), None
    )
    if name is not None:
        return name
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return _text(value, known)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return _sequence(value, known)
    if isinstance(value, Mapping):
        return _mapping(value, known)
    return None


def is_telling(code: str) -> bool:
    """Whether a value says anything: an assertion that nothing came back, or an empty thing, asserts little."""
    return code not in ("None", "''", '""', "[]", "{}", "()")


def _is_telling(value: Any) -> bool:
    return not isinstance(value, int) or (not isinstance(value, bool) and value >= _TELLING)


def _text(value: str, known: Known) -> str | None:
    if len(value) > _LONGEST or not value.isprintable():
        return None
    braces = value.replace("{", "{{").replace("}", "}}")
    filled = braces
    for other, code in known:
        if _is_telling(other) and len(str(other)) > 3:
            filled = filled.replace(str(other), f"{{{code}}}")
    return quoted(value) if filled == braces else f"f{quoted(filled)}"


def quoted(text: str) -> str:
    """A text as a literal in double quotes, as formatters have it."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain else plain


def _sequence(value: Sequence[Any], known: Known) -> str | None:
    items = [expression(item, known) for item in value]
    if len(items) > _MOST or None in items:
        return None
    inner = ", ".join(str(item) for item in items)
    if isinstance(value, tuple):
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    return f"[{inner}]"


def _mapping(value: Mapping[Any, Any], known: Known) -> str | None:
    items = [(expression(key, known), expression(item, known)) for key, item in value.items()]
    if len(items) > _MOST or any(None in pair for pair in items):
        return None
    return "{" + ", ".join(f"{key}: {item}" for key, item in items) + "}"
