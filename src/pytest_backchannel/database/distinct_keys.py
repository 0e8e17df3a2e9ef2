"""Primary keys that start apart for each table, so that the id of another thing is not right by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import BackchannelError

APART = 100_000
"""How far apart the first keys of two tables are: the third table, by its name, begins at 300001."""


def start_apart() -> None:
    """Let the keys of each empty table begin at a number of its own; the same in each run, as long as the tables are.

    Tables with rows keep what they have, such as those of migrations; and so do keys that the database does not count.

    Raises:
        BackchannelError: a database is none of those of which it is known how.
    """
    from django.db import connections

    starts = _starts()
    for alias in connections:
        connection = connections[alias]
        if connection.settings_dict["TEST"].get("MIRROR") or connection.settings_dict["ENGINE"].endswith(".dummy"):
            continue
        begin = _BEGIN.get(connection.vendor)
        if begin is None:
            raise BackchannelError(
                f"backchannel_distinct_keys knows {' and '.join(_NAMES.values())}, and the database {alias!r} is "
                f"{connection.display_name}. Fix: leave the option out"
            )
        tables = _empty(connection, alias, starts)
        with connection.cursor() as cursor:
            for table, column in tables:
                begin(connection, cursor, table, column, starts[table])


def _starts() -> dict[str, int]:
    """The first key of each table, in the order of their names, whichever database they are in."""
    names = sorted({model._meta.db_table for model in _counted_models()})
    return {name: number * APART + 1 for number, name in enumerate(names, start=1)}


def _counted_models() -> list[Any]:
    from django.apps import apps
    from django.db.models import SmallAutoField

    models: list[Any] = apps.get_models(include_auto_created=True)
    return [
        model
        for model in models
        if model._meta.managed
        and not model._meta.proxy
        and model._meta.auto_field is not None
        and not isinstance(model._meta.auto_field, SmallAutoField)  # it would soon be full
    ]


def _empty(connection: Any, alias: str, starts: dict[str, int]) -> list[tuple[str, str]]:
    """The tables of one database that have no row, each with its key's column."""
    from django.db import router

    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        tables = {
            model._meta.db_table: model._meta.auto_field.column
            for model in _counted_models()
            if model._meta.db_table in there and router.allow_migrate_model(alias, model)
        }
        found = []
        for table in starts:
            if table in tables:
                cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")
                if cursor.fetchone() is None:
                    found.append((table, tables[table]))
    return found


def _begin_on_sqlite(connection: Any, cursor: Any, table: str, column: str, start: int) -> None:
    # The table is there once any has a key with AUTOINCREMENT, as those of Django have.
    cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
    cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, start - 1])


def _begin_on_postgresql(connection: Any, cursor: Any, table: str, column: str, start: int) -> None:
    cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [connection.ops.quote_name(table), column])
    (sequence,) = cursor.fetchone()
    if sequence is not None:
        cursor.execute("SELECT setval(%s, %s, false)", [sequence, start])


_BEGIN: dict[str, Callable[[Any, Any, str, str, int], None]] = {
    "sqlite": _begin_on_sqlite,
    "postgresql": _begin_on_postgresql,
}
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
