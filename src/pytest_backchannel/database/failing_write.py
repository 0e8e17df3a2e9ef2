"""A statement that fails on demand: the first, second or nth within a block that writes to a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..errors import BackchannelError
from ..restoring import replaced

_LEADING = r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*"
_WRITE = re.compile(_LEADING + r"(?:INSERT|UPDATE|DELETE|REPLACE|MERGE)\b", re.IGNORECASE | re.DOTALL)
_WITH = re.compile(_LEADING + r"WITH\b", re.IGNORECASE | re.DOTALL)
_WRITE_BELOW = re.compile(r"\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\S+\s+SET|MERGE\s+INTO)\b", re.IGNORECASE)


def writes(sql: str) -> bool:
    """Whether a statement writes rows: of the ORM or by hand, also in a ``WITH``."""
    return bool(_WRITE.match(sql) or (_WITH.match(sql) and _WRITE_BELOW.search(sql)))


def operational_error() -> type[Exception]:
    """What Django raises where the database can't be reached, is locked or has ended a deadlock.

    Raises:
        BackchannelError: Django is not installed, or has no settings.
    """
    try:
        from django.conf import settings
        from django.db import OperationalError
    except ImportError:
        raise BackchannelError("fail_write() lets a query of Django fail, and Django is not installed") from None
    if not settings.configured:
        raise BackchannelError(
            "fail_write() lets a query of Django fail, and Django has no settings here. Fix: DJANGO_SETTINGS_MODULE"
        )
    return OperationalError


@contextmanager
def failing_write(nth: int, error: Callable[[int, str], BaseException]) -> Generator[None]:
    """Within the block, the nth statement that writes is not executed, and raises; all others are as ever.

    It counts on all connections of the thread. Where the code is in no transaction of its own, what it does next is
    not disturbed, as in autocommit mode; though the test's transaction is around it.

    Args:
        nth: which statement, counted from 1; one call of ``executemany`` is one.
        error: makes what is raised, from the number and the statement.
    """
    from django.db import connections
    from django.db.transaction import Atomic, get_connection

    with ExitStack() as stack:
        count = _Count(nth, error)
        marks = {}
        for connection in connections.all():
            marks[connection.alias] = mark = _Mark(connection, count)
            stack.enter_context(mark.watched())
        enter = Atomic.__enter__

        def __enter__(self: Any) -> None:
            mark = marks.get(get_connection(self.using).alias)
            if mark is None:
                enter(self)
            else:
                mark.enter(self, lambda: enter(self))

        # --- private API: django.db.transaction.Atomic, Django 5.2–6.1: whether a block has a savepoint, and rolls back
        # --- to it, is decided as it is entered.
        stack.enter_context(replaced(Atomic, "__enter__", __enter__))
        # --- end of private API
        yield


class _Count:
    """Counts the writes of a block, on all of its connections."""

    def __init__(self, nth: int, error: Callable[[int, str], BaseException]) -> None:
        self._nth = nth
        self._error = error
        self._number = 0

    def due(self, sql: str) -> BaseException | None:
        """What one statement is to raise; None where it may be executed."""
        if not writes(sql):
            return None
        self._number += 1
        if self._number != self._nth:
            return None
        return self._error(self._nth, sql)


class _Mark:
    """One connection: which of its atomic blocks were there before, and whether a failure is to be forgotten.

    Django forbids further queries once a write has failed in an atomic block. In a test that is the test's own, of
    which production has none.
    """

    def __init__(self, connection: Any, count: _Count) -> None:
        self._connection = connection
        self._count = count
        self._blocks = len(connection.atomic_blocks)
        self._outside = False

    @contextmanager
    def watched(self) -> Generator[None]:
        """Within the block it looks at each statement."""
        self._connection.execute_wrappers.append(self._one)
        try:
            yield
        finally:
            # By itself, and not the last: somebody else may have added one that stays.
            kept = [wrapper for wrapper in self._connection.execute_wrappers if wrapper != self._one]
            self._connection.execute_wrappers[:] = kept
            self.mend()

    def mend(self) -> None:
        """Let the connection go on, where what failed was in no atomic block of the code's."""
        if self._outside:
            self._outside = False
            self._connection.needs_rollback = False

    def enter(self, block: Any, enter: Callable[[], None]) -> None:
        """Enter an atomic block; the code's outermost one rolls back by itself, as a transaction does.

        Django's own methods, such as ``bulk_create``, have no savepoint there: they count on their transaction.
        """
        self.mend()
        plain = block.savepoint
        if self._connection.in_atomic_block and self._is_in_no_block_of_the_code():
            block.savepoint = True
        try:
            enter()
        finally:
            block.savepoint = plain

    def _one(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        self.mend()
        error = self._count.due(str(sql))
        if error is not None:
            inside = self._connection.in_atomic_block
            self._outside = inside and not self._connection.needs_rollback and self._is_in_no_block_of_the_code()
            raise error
        return execute(sql, params, many, context)

    def _is_in_no_block_of_the_code(self) -> bool:
        return len(self._connection.atomic_blocks) <= self._blocks
