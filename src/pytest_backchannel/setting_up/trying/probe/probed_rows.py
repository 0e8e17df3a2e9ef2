"""What a task has changed in the database: every table, before and after, and the assertions that tell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .expressions import Known, expression
from .made_rows import Rows, importable

_MOST_ROWS = 300
"""Of a table; a larger one was filled by a migration."""

Tables = dict[Any, dict[Any, dict[str, Any]]]


def tables() -> Tables:
    """The rows of each model's table, by their keys."""
    from django.apps import apps
    from django.db import router

    found: Tables = {}
    for model in apps.get_models():
        meta = model._meta
        if meta.proxy or not meta.managed or router.db_for_write(model) != "default":
            continue
        rows: list[dict[str, Any]] = list(model._base_manager.values()[: _MOST_ROWS + 1])
        if len(rows) <= _MOST_ROWS:
            found[model] = {row[meta.pk.attname]: row for row in rows}
    return found


def checks_of(before: Tables, after: Tables, rows: Rows, known: Known, imports: set[tuple[str, str]]) -> Iterator[str]:
    """Assertions, as lines, of what is there, what is gone, and what has changed in the test's own rows.

    Args:
        before: what was there before the task ran.
        after: what is there now.
        rows: those that the test has made.
        known: values that the test has names for.
        imports: what the lines need, to be added to.
    """
    for model, now in after.items():
        if set(before.get(model, {})) != set(now):
            imports.add(importable(model))
            manager = "objects" if hasattr(model, "objects") else "_default_manager"
            yield f"assert {model.__name__}.{manager}.count() == {len(now)}"
    for row in rows:
        was = before.get(row.model, {}).get(row.instance.pk)
        now_is = after.get(row.model, {}).get(row.instance.pk)
        if was is None or now_is is None:
            continue
        changed = [name for name in was if was[name] != now_is[name]]
        lines = [line for name in changed if (line := _check(f"{row.name}.{name}", was[name], now_is[name], known))]
        if lines:
            yield f"{row.name}.refresh_from_db()"
            yield from lines


def _check(name: str, was: Any, now: Any, known: Known) -> str:
    if isinstance(now, bool):
        return f"assert {name}" if now else f"assert not {name}"
    if now is None:
        return f"assert {name} is None"
    code = expression(now, known)
    if code is not None:
        return f"assert {name} == {code}"
    return f"assert {name} is not None" if was is None else ""
