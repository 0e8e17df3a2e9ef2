"""The rows of a table, read past Django: no query of theirs is counted, captured or wrapped."""

from __future__ import annotations

import contextlib
import hashlib
from functools import lru_cache
from typing import Any

from ..audit_data import Rows

MOST_ROWS = 3000
"""More rows than this in a table that a body writes, and its audit is not made."""
_LONGEST = 300  # characters of a value


class TooManyRows(Exception):
    """A table is too large to be compared."""


def rows_of(connection: Any, table: str) -> Rows:
    """All rows of a table.

    Raises:
        TooManyRows: there are more than :data:`MOST_ROWS`.
    """
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} LIMIT {MOST_ROWS + 1}")
        columns = tuple(column[0] for column in cursor.description)
        found = cursor.fetchall()
    if len(found) > MOST_ROWS:
        raise TooManyRows(f"the table {table} has more than {MOST_ROWS} rows")
    model = _models().get(table)
    key = model._meta.pk.column if model is not None and model._meta.pk.column in columns else columns[0]
    at = columns.index(key)
    return Rows(
        columns=columns,
        key=key,
        rows={_text(row[at]): tuple(map(_text, row)) for row in found},
        kinds=_kinds(table),
        history=_is_history(model),
    )


def is_singleton(table: str) -> bool:
    """Whether a table has one row, which whoever asks for it makes, as those of django-solo do."""
    return hasattr(_models().get(table), "singleton_instance_id")


def _text(value: Any) -> str:
    text = repr(bytes(value)) if isinstance(value, memoryview) else repr(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:120]}…#{hashlib.blake2b(text.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"


@lru_cache(maxsize=1)
def _models() -> dict[str, Any]:
    from django.apps import apps

    models = apps.get_models(include_auto_created=True)
    # A proxy has the table of another model, and no fields of its own.
    return {model._meta.db_table: model for model in models if not model._meta.proxy}


@lru_cache(maxsize=512)
def _kinds(table: str) -> dict[str, str]:
    model = _models().get(table)
    if model is None:
        return {}
    kinds = {field.column: kind for field in model._meta.local_concrete_fields if (kind := _kind(field))}
    # A generic reference names its row by a column that is a number or a text by itself.
    for field in model._meta.private_fields:
        if hasattr(field, "fk_field"):
            kinds[model._meta.get_field(field.fk_field).column] = ">"
    return kinds


# The libraries that keep a log of what is saved; and the fields of a model that django-simple-history makes.
_HISTORIES = frozenset({"auditlog", "easyaudit", "pghistory", "reversion"})
_SIMPLE_HISTORY = frozenset({"history_id", "history_date", "history_type"})


def _is_history(model: Any) -> bool:
    """Whether a library writes the table by itself, whenever the project saves something."""
    if model is None:
        return False
    modules = {base.__module__.partition(".")[0] for base in model.__mro__}
    return not _HISTORIES.isdisjoint(modules) or {field.name for field in model._meta.fields} >= _SIMPLE_HISTORY


def _kind(field: Any) -> str:
    from django.db import models

    if field.is_relation:
        return f">{field.related_model._meta.db_table}"
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return "stamp"
    if isinstance(field, models.DateField | models.TimeField):
        return "time"
    if field.choices:
        return ""  # a state that is kept as a number is no amount
    return "number" if isinstance(field, models.IntegerField | models.DecimalField | models.FloatField) else ""
