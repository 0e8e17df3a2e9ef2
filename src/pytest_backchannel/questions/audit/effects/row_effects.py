"""Statements that write rows: each table is read before its first write, to be compared by key and column."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any

from ....database.failing_write import writes
from ..shadows import told_parent
from .effect_log import note, running
from .table_rows import TooManyRows, is_singleton, rows_of

_NAME = r'((?:["`\w]+\.)?["`]?\w+["`]?)'
_WRITE = re.compile(
    r"^[\s(]*(?:WITH\b.*?\)\s*)?(INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?)"
    r"\s+(?:ONLY\s+)?" + _NAME,
    re.IGNORECASE | re.DOTALL,
)
# What Django keeps for itself.
_IGNORED = frozenset({"django_session", "django_migrations", "django_content_type"})


def install(connection: Any) -> None:
    """Watch the statements of a connection."""
    connection.execute_wrappers.append(_execute)


def written_table(sql: str) -> tuple[str, str] | None:
    """The verb and the table of a statement that writes; None for another."""
    found = _WRITE.match(sql) if isinstance(sql, str) else None
    if found is None:
        return None
    verb = found.group(1).split()[0].upper()
    return verb, found.group(2).replace('"', "").replace("`", "").rpartition(".")[2]


def _execute(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    log = running()
    if log is not None and writes(sql):
        log.writes += 1
    found = written_table(sql) if log is not None else None
    if log is None or found is None or found[1] in _IGNORED:
        return execute(sql, params, many, context)
    verb, table = found
    if verb == "INSERT" and is_singleton(table):
        return execute(sql, params, many, context)
    connection = context["connection"]
    if table not in log.before:
        try:
            log.before[table] = rows_of(connection, table)
        except TooManyRows as error:
            told_parent.give_up(str(error))
    log.written.add((connection.alias, table))
    result = execute(sql, params, many, context)
    changed = getattr(context["cursor"], "rowcount", 1)
    if changed != 0 or verb == "INSERT":  # SQLite counts 0 for INSERT … RETURNING
        log.statement = context["cursor"]
        note("row", f"{verb} {table}", of=table, on_demand=verb == "INSERT" and _is_on_demand())
        log.statement = None
    return result


def _is_on_demand() -> bool:
    """Whether a row is made by ``get_or_create()`` or ``update_or_create()``, or by a signal of it."""
    makers = _makers()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in makers:
            return True
        frame = frame.f_back
    return False


@cache
def _makers() -> frozenset[CodeType]:
    from django.db.models import QuerySet

    return frozenset({QuerySet.get_or_create.__code__, QuerySet.update_or_create.__code__})
