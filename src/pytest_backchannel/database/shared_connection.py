"""One connection while threads share it: its lock, what may not happen to it meanwhile, and its ``on_commit``."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from ..awaiting import running_loop
from ..events import Location, caused_by, current_log
from ..restoring import exchange, put
from . import threads
from .locks import SharedLock
from .records import Commit

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Hook: TypeAlias = "tuple[set[str], Callable[[], Any], bool]"

# The logger to which Django 5.2–6.1 reports a robust callback that failed.
_logger = logging.getLogger("django.db.backends.base")


class SharedConnection:
    """One connection of the test's thread, inside the test's transaction, usable by every thread.

    Args:
        connection: Django's wrapper of it.
        limit: how long a thread waits for another, in seconds.
    """

    def __init__(self, connection: BaseDatabaseWrapper, limit: float) -> None:
        self.connection: Any = connection
        self.lock = SharedLock(connection.alias, limit)
        self.capturing = 0
        # How much of the connection's stacks belongs to the test's own transaction; all above is the code's.
        self._count()
        self._replaced: dict[str, Any] = {}

    # ------------------------------------------------------------ from start to end

    def start(self) -> None:
        """Allow other threads, one at a time; and keep the connection open."""
        connection = self.connection
        connection.inc_thread_sharing()
        connection.execute_wrappers.append(self._one_query)
        replacements = {
            # In the test's transaction autocommit is off, for which close_old_connections() would close the
            # connection (channels#2118), and with it end the transaction. Code that closes its connection means one
            # that the next query opens again: the shared one stays open instead.
            "close_if_unusable_or_obsolete": lambda: None,
            "close": lambda: None,
            "ensure_connection": self._ensure_connection,
            "on_commit": self._on_commit,
        }
        self._replaced = exchange(vars(connection), replacements)

    def end(self, test: str) -> str | None:
        """Leave the connection as it was, for the rollback.

        Args:
            test: the test that ends.

        Returns:
            Who is still inside an atomic block or a query; None where nobody is.
        """
        lock, connection = self.lock, self.connection
        free = lock.take(lock.limit)
        busy = None
        if not free:
            busy = lock.describe_holder()
        elif len(connection.atomic_blocks) > self._blocks:
            busy = f"the test's own thread left an atomic block open ({lock.describe_holder()})"
        lock.ended = test
        put(vars(connection), self._replaced)
        connection.execute_wrappers[:] = [
            wrapper for wrapper in connection.execute_wrappers if wrapper != self._one_query
        ]
        # Savepoints of a block that nobody will leave: Django would end the wrong one.
        del connection.atomic_blocks[self._blocks :]
        del connection.savepoint_ids[self._savepoints :]
        connection.dec_thread_sharing()
        if free:
            lock.release()
        return busy

    def forget(self) -> None:
        """In a forked child: be Django's own connection again, in whichever state it is."""
        put(vars(self.connection), self._replaced)

    # ------------------------------------------------------------ while it is shared

    @property
    def in_code_transaction(self) -> bool:
        """Whether the current thread is inside an atomic block of the code under test."""
        return self.lock.mine and len(self.connection.atomic_blocks) > self._blocks

    @property
    def code_blocks(self) -> list[Any]:
        """The atomic blocks of the code under test that the current thread is in, from outside to inside."""
        return list(self.connection.atomic_blocks[self._blocks :]) if self.lock.mine else []

    def adopt(self) -> None:
        """Take the blocks that the current thread is in for the test's own."""
        if not self.in_code_transaction:
            return
        while self.lock.mine:
            self.lock.release()
        self._count()

    def _count(self) -> None:
        """Note what belongs to the test's own transaction."""
        self._blocks = len(self.connection.atomic_blocks)
        self._savepoints = len(self.connection.savepoint_ids)
        self._hooks = len(self.connection.run_on_commit)

    def enter(self, enter: Callable[[], None]) -> None:
        """Enter an atomic block, when no other thread is in one."""
        self.lock.acquire("enter transaction.atomic()", atomic=True)
        try:
            enter()
        except BaseException:
            self.lock.release()
            raise

    def leave(self, leave: Callable[[], None], *, failed: bool) -> None:
        """Leave an atomic block; at the end of the outermost one, run what it gave to ``on_commit``.

        Args:
            leave: leaves it.
            failed: whether an exception ends it.
        """
        connection = self.connection
        if not (self.in_code_transaction or self.lock.lent):
            # It was entered before the sharing began, or by a fixture.
            try:
                leave()
            finally:
                self._count()
            return
        self.lock.regain()
        outermost = len(connection.atomic_blocks) == self._blocks + 1
        commits = outermost and not failed and not connection.needs_rollback
        entered = self.lock.entered
        hooks: list[Hook] = []
        try:
            leave()
        except BaseException:
            commits = False
            raise
        finally:
            if outermost and not self.capturing:
                # A rolled back block's callbacks are dropped here too: one without a savepoint leaves them behind.
                taken = connection.run_on_commit[self._hooks :]
                del connection.run_on_commit[self._hooks :]
                hooks = taken if commits else []
            self.lock.release()
        if hooks:
            self._run(hooks, entered)

    @contextlib.contextmanager
    def captured(self) -> Generator[None]:
        """Leave the callbacks to Django's ``captureOnCommitCallbacks`` for a block; they are the test's, then."""
        start = len(self.connection.run_on_commit)
        self.capturing += 1
        try:
            yield
        finally:
            self.capturing -= 1
            if not self.capturing:
                del self.connection.run_on_commit[start:]

    def _run(self, hooks: list[Hook], entered: Location | None) -> None:
        log = current_log()
        with caused_by(log.record(Commit, where=entered, alias=self.connection.alias, callbacks=len(hooks))):
            for _savepoints, callback, robust in hooks:
                _call(callback, robust, "in on_commit() during transaction")

    def _on_commit(self, func: Callable[[], Any], robust: bool = False) -> None:
        if self.capturing or self.in_code_transaction or not callable(func):
            type(self.connection).on_commit(self.connection, func, robust)
        else:
            # As in autocommit mode, where production would be.
            _call(func, robust, "in on_commit()")

    def _one_query(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        threads.check()
        with self.lock.held("run a query"):
            if self.connection.vendor != "sqlite":
                return execute(sql, params, many, context)
            return _finished(execute, sql, params, many, context)

    def _ensure_connection(self) -> None:
        if self.connection.connection is not None and running_loop() is not None:
            # Django's is refused inside a coroutine; the counters of queries call it there, and it would do nothing.
            return
        type(self.connection).ensure_connection(self.connection)


class _Fetched:
    """A cursor whose rows have been fetched already."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self._rows = iter(cursor.fetchall())

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return list(itertools.islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


def _finished(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Execute on SQLite, and fetch all rows while the lock is held.

    Python's sqlite3 (3.11–3.13) has one statement for the same SQL text: a thread that reads its last row resets it,
    though another has just begun to execute it, which then reads its rows twice, or none. And what writes, such as
    INSERT … RETURNING, is under way until its rows are fetched: until then SQLite refuses a savepoint on the connection
    ("SQL statements in progress"), also to other threads.
    """
    wrapper = context["cursor"]
    if isinstance(wrapper.cursor, _Fetched):
        wrapper.cursor = wrapper.cursor.cursor
    result = execute(sql, params, many, context)
    if wrapper.cursor.description is None:
        return result
    wrapper.cursor = _Fetched(wrapper.cursor)
    return wrapper.cursor


def _call(callback: Callable[[], Any], robust: bool, when: str) -> None:
    """Run one callback as Django does: a robust one's exception is logged, another's is raised."""
    if not robust:
        callback()
        return
    try:
        callback()
    except Exception as error:
        name = getattr(callback, "__qualname__", callback)
        _logger.error("Error calling %s %s (%s).", name, when, error, exc_info=True)
