"""The loan of a test's connections to every thread, for the time of one test."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from types import TracebackType

from ..errors import BackchannelError, SharedConnectionBusy
from . import patches, store
from .shared import SharedConnection
from .threads import Watch

#: How long a thread waits for another that holds a shared connection, in seconds.
WAIT_LIMIT = 5.0

_current: Loan | None = None


def current_loan() -> Loan | None:
    """The loan that is on now."""
    return _current


class Loan:
    """Lends the calling thread's connections, where a test's transaction is open on them, to every thread.

    Args:
        test: the test, for messages.
        wait_limit: how long a thread waits for another, in seconds; then it gets an error that names the holder.

    Attributes:
        test: the test.
        shared: the lent connections, by alias.
    """

    def __init__(self, test: str = "", *, wait_limit: float = WAIT_LIMIT) -> None:
        self.test = test
        self.wait_limit = wait_limit
        self.shared: dict[str, SharedConnection] = {}

    def start(self) -> None:
        """Begin.

        Raises:
            BackchannelError: a loan is on already, or no transaction is open on any connection.
        """
        global _current
        from django.db import connections

        if _current is not None:
            raise BackchannelError(f"the connections are lent already, to {_current.test or 'another test'}")
        self.shared = {
            connection.alias: SharedConnection(connection, self.wait_limit)
            for connection in connections.all(initialized_only=True)
            if connection.in_atomic_block
        }
        if not self.shared:
            raise BackchannelError(
                "there is nothing to lend: no connection of this thread is inside a transaction. Enter "
                "transaction.atomic() first, and roll it back after the loan has ended."
            )
        self._watch = Watch(self.test)
        for shared in self.shared.values():
            shared.start()
        store.install().lend({alias: shared.connection for alias, shared in self.shared.items()})
        self._patches = contextlib.ExitStack()
        self._patches.enter_context(patches.atomic_blocks(self.shared.get))
        self._patches.enter_context(patches.captures(self.shared.get))
        _current = self

    def adopt(self) -> None:
        """Take the atomic blocks that the calling thread is in for the test's own, as its transaction is.

        Called after each fixture: every thread may work inside such a block, and ``on_commit`` does not wait for it.
        """
        for shared in self.shared.values():
            shared.adopt()

    def stop(self) -> None:
        """End: the connections are the calling thread's alone again, as they were.

        Raises:
            SharedConnectionBusy: a thread is still inside an atomic block or a query, after the wait limit.
        """
        global _current
        if _current is not self:
            return
        busy = {alias: shared.end(self.test) for alias, shared in self.shared.items()}
        _current = None
        self._patches.close()
        self._watch.end()
        store.install().lend({})
        store.install_if_needed()
        for alias, holder in busy.items():
            if holder:
                raise SharedConnectionBusy(
                    f"{self.test or 'the test'} ended while its database {alias!r} was in use: {holder}. "
                    "Join the thread, or leave the atomic block, before the test ends."
                )

    def __enter__(self) -> Loan:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


@contextlib.contextmanager
def lend(test: str = "", *, wait_limit: float = WAIT_LIMIT) -> Generator[Loan]:
    """Within the block, every thread uses the connections of the calling thread, inside their open transaction.

    For those who do not use pytest; with pytest, the fixtures do it. The caller opens the transaction and rolls it
    back::

        with transaction.atomic(), lend():
            asyncio.run(scenario())
            transaction.set_rollback(True)

    Args:
        test: the test, for messages.
        wait_limit: how long a thread waits for another, in seconds.

    Raises:
        BackchannelError: no transaction is open, or the connections are lent already.
        SharedConnectionBusy: at the end, a thread is still inside an atomic block or a query.
    """
    with Loan(test, wait_limit=wait_limit) as loan:
        yield loan


def find_shared(alias: str) -> SharedConnection | None:
    """The connection of an alias that is lent now; None where none is."""
    return _current.shared.get(alias) if _current is not None else None


def in_code_transaction(alias: str | None = None) -> bool:
    """Whether the current thread is inside ``transaction.atomic()`` of the code under test.

    A test's own transaction (of ``db``, or of Django's ``TestCase``) does not count.

    Args:
        alias: the database; None asks about all of them.
    """
    if _current is not None and any(
        shared.in_code_transaction for name, shared in _current.shared.items() if alias in (None, name)
    ):
        return True
    from django.conf import settings
    from django.db import connections

    if not settings.configured:
        return False
    lent = _current.shared if _current is not None else {}
    return any(
        not getattr(block, "_from_testcase", False)
        for connection in connections.all(initialized_only=True)
        if connection.alias not in lent and alias in (None, connection.alias)
        for block in connection.atomic_blocks
    )
