"""A call in few words, for labels of effects: no ``repr`` that queries the database, and none that raises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def arguments_text(args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None) -> str:
    """The arguments of a call, without its parentheses."""
    parts = [value_text(value) for value in args]
    parts += [f"{name}={value_text(value)}" for name, value in (kwargs or {}).items()]
    text = ", ".join(parts)
    return text if len(text) <= 160 else text[:159] + "…"


def value_text(value: Any) -> str:
    """One value."""
    try:
        meta = getattr(value, "_meta", None)
        text = f"<{type(value).__name__} {value.pk}>" if meta is not None and hasattr(value, "pk") else repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else text[:59] + "…"
