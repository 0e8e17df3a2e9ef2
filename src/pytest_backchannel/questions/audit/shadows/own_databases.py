"""The database connections of a shadow: a transaction of its own in each, and a SQLite file is copied into memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ....database.sharing import forget_sharing
from ..effects import row_effects
from . import body_transactions, told_parent
from .own_process import querying
from .parents_databases import open_connections


def take_databases(limit: float) -> None:
    """Make the open connections those of this shadow alone, and watch what it writes.

    Args:
        limit: how long one statement may take, in seconds.
    """
    from django.db.backends.base.base import BaseDatabaseWrapper

    forget_sharing()
    for connection in open_connections():
        _PREPARE.get(connection.vendor, _nothing)(connection, limit)
        # Those of the project go first: what they refuse to a body is not refused to the audit.
        theirs, connection.execute_wrappers[:] = list(connection.execute_wrappers), []
        if not _begin(connection):
            connection.execute_wrappers[:] = theirs
            continue
        connection.execute_wrappers[:] = [_queries]
        row_effects.install(connection)
    body_transactions.install()
    BaseDatabaseWrapper.connect = _refuse


_MARK = "backchannel_clean"


def mark_rows() -> None:
    """Remember the rows of this shadow's connections as they are now."""
    for connection in open_connections():
        _execute(connection, f"SAVEPOINT {_MARK}")


def rows_as_marked() -> None:
    """Set the rows back to the mark."""
    for connection in open_connections():
        _execute(connection, f"ROLLBACK TO SAVEPOINT {_MARK}")


def _execute(connection: Any, sql: str) -> None:
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(sql)


def _refuse(connection: Any) -> None:
    told_parent.refuse(f"it opens another connection to the database {connection.alias!r}")


def _queries(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    querying(True)
    try:
        return execute(sql, params, many, context)
    finally:
        querying(False)


# --- private API: what django.db.backends.base.base.BaseDatabaseWrapper keeps of a transaction, Django 5.2–6.1.
# --- tests/plugin/audit/test_audited_databases.py fails where it is built differently.


def _begin(connection: Any) -> bool:
    """A block of ours around all, which counts as the test's own; False in a test that may not use the database."""
    from django.db.transaction import Atomic

    connection.inc_thread_sharing()
    block: Any = Atomic(connection.alias, True, False)
    block._from_testcase = True
    try:
        block.__enter__()
    except RuntimeError:  # of pytest-django, as the body would get it
        return False
    connection.run_on_commit = []
    return True


def _nothing(connection: Any, limit: float) -> None:
    pass


def _postgresql(connection: Any, limit: float) -> None:
    raw = connection.connection
    if hasattr(raw, "prepare_threshold"):
        raw.prepare_threshold = None  # the parent counts on with the names of its own
    with raw.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {int(limit * 1000)}")
    if not connection.in_atomic_block:  # the parent has begun a transaction, which Django is to take for its own
        connection.in_atomic_block, connection.commit_on_exit, connection.autocommit = True, True, False


_NO_LOG = b"\x01\x01"  # of the header of a file: no write-ahead log, since the copy has no file


def _sqlite(connection: Any, limit: float) -> None:
    """A file is the parent's, too: go on with a copy in memory, at the same depth of savepoints."""
    if connection.is_in_memory_db():
        return
    before = connection.connection
    # Not backup(): it never ends while the connection has written and not committed.
    data = before.serialize()
    if data[18:20] != _NO_LOG:
        data = data[:18] + _NO_LOG + data[20:]
    parameters = {**connection.get_connection_params(), "database": ":memory:"}
    parameters.pop("uri", None)
    copy = connection.get_new_connection(parameters)
    copy.deserialize(data)
    copy.isolation_level = None
    connection.connection = copy
    if connection.in_atomic_block:
        copy.execute("BEGIN")
        for sid in connection.savepoint_ids:
            if sid:
                copy.execute(f'SAVEPOINT "{sid}"')


_PREPARE: dict[str, Callable[[Any, float], None]] = {"postgresql": _postgresql, "sqlite": _sqlite}

# --- end of private API
