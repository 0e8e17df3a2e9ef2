"""What the parent does to its own connections around a fork: a savepoint on PostgreSQL, and sequences are set back.

So whatever becomes of the child, what it wrote through the same connection is undone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from ....database.made_connections import made_connections
from .forking import NotAudited

_SAVEPOINT = "backchannel_audit"
_IN_ERROR = 3  # TransactionStatus.INERROR of libpq


def check_databases() -> None:
    """Whether shadows of this state can be made and undone.

    Raises:
        NotAudited: they can't, and why.
    """
    for connection in open_connections():
        if connection.vendor not in ("sqlite", "postgresql"):
            raise NotAudited(f"the database {connection.alias!r} is {connection.display_name}")
        if connection.needs_rollback:
            raise NotAudited("the test's transaction is broken already")
        if connection.vendor == "sqlite" and not hasattr(connection.connection, "serialize"):
            raise NotAudited("this SQLite can't be copied (serialize)")
        if connection.vendor == "postgresql":
            _check_postgresql(connection)


def _check_postgresql(connection: Any) -> None:
    info = connection.connection.info
    if getattr(info, "transaction_status", 0) == _IN_ERROR:
        raise NotAudited("the test's transaction is broken already")
    pgconn = getattr(connection.connection, "pgconn", info)
    if bool(getattr(pgconn, "ssl_in_use", False)):
        raise NotAudited(
            f"the connection to the database {connection.alias!r} is encrypted, and can't be shared with a fork: "
            "sslmode=disable for tests"
        )


@contextlib.contextmanager
def pinned(sequences: Sequences) -> Generator[None]:
    """Around a fork: what the child does to the databases is undone after it."""
    postgresql = (connection for connection in open_connections() if connection.vendor == "postgresql")
    connections = [(connection, _begin(connection)) for connection in postgresql]
    try:
        yield
    finally:
        for connection, alone in connections:
            _undo(connection, alone)
        sequences.set_back()


def _begin(connection: Any) -> bool:
    alone = not connection.in_atomic_block and bool(connection.connection.autocommit)
    with connection.connection.cursor() as cursor:
        if alone:
            cursor.execute("BEGIN")
        cursor.execute(f"SAVEPOINT {_SAVEPOINT}")
    return alone


def _undo(connection: Any, alone: bool) -> None:
    with connection.connection.cursor() as cursor:
        cursor.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        cursor.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        if alone:
            cursor.execute("ROLLBACK")


class Sequences:
    """The sequences of PostgreSQL, which no rollback sets back: the test counts on its next key."""

    def __init__(self) -> None:
        self._before = [_Known(connection) for connection in open_connections() if connection.vendor == "postgresql"]

    def set_back(self) -> None:
        """Let them go on where they were."""
        for known in self._before:
            known.set_back()


class _Known:
    """Those of one connection: the last value of each, or where it begins while none was taken."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._values = self._last()
        self._starts = self._begin_at([name for name, value in self._values.items() if value is None])

    def set_back(self) -> None:
        for name, value in self._last().items():
            before = self._values.get(name)
            if value != before:
                start = self._starts.get(name)
                if before is not None or start is not None:
                    self._execute("SELECT setval(%s, %s, %s)", [_quoted(name), before or start, before is not None])

    def _last(self) -> dict[tuple[str, str], int | None]:
        found = self._execute("SELECT schemaname, sequencename, last_value FROM pg_sequences")
        return {(schema, name): value for schema, name, value in found}

    def _begin_at(self, names: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Where a sequence begins that has given nothing: not always at 1, where somebody has set it."""
        found: list[Any] = []
        for at in range(0, len(names), 200):
            selects = [
                f"SELECT {at + n}, last_value FROM {_quoted(name)}" for n, name in enumerate(names[at : at + 200])
            ]
            found += self._execute(" UNION ALL ".join(selects))
        return {names[number]: value for number, value in found}

    def _execute(self, sql: str, parameters: list[Any] | None = None) -> list[Any]:
        with self._connection.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())


def _quoted(name: tuple[str, str]) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)


def open_connections() -> list[Any]:
    """The connections to databases that are open, each once: a project may give one a second alias for a replica."""
    found: dict[int, Any] = {}
    for connection in made_connections():
        if connection.connection is not None:
            found.setdefault(id(connection.connection), connection)
    return list(found.values())
