"""A test's connections shared by every thread, for the time of one test."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any

from ..active import Slot
from ..errors import BackchannelError, SharedConnectionBusy, ThreadOutlivedTest
from . import connection_local, patches
from .made_connections import made_connections
from .shared_connection import SharedConnection
from .threads import ThreadsOfTest

#: How long a thread waits for another that holds a shared connection, in seconds.
WAIT_LIMIT = 5.0


def current_sharing() -> ConnectionSharing | None:
    """The sharing that is on now."""
    return _current.value


class ConnectionSharing:
    """Shares the calling thread's connections, where a test's transaction is open on them, with every thread.

    Args:
        test: the test, for messages.
        wait_limit: how long a thread waits for another, in seconds; then it gets an error that names the holder.

    Attributes:
        test: the test.
        shared: the shared connections, by alias.
    """

    def __init__(self, test: str = "", *, wait_limit: float = WAIT_LIMIT) -> None:
        self.test = test
        self.wait_limit = wait_limit
        self.shared: dict[str, SharedConnection] = {}

    def start(self) -> None:
        """Begin.

        Raises:
            BackchannelError: connections are shared already, or no transaction is open on any.
        """
        other = _current.value
        if other is not None:
            raise BackchannelError(f"the connections are lent already, to {other.test or 'another test'}")
        self.shared = {
            connection.alias: SharedConnection(connection, self.wait_limit)
            for connection in made_connections()
            if connection.in_atomic_block
        }
        if not self.shared:
            raise BackchannelError(
                "there is nothing to lend: no connection of this thread is inside a transaction. Enter "
                "transaction.atomic() first, and roll it back after the loan has ended."
            )
        self._threads = ThreadsOfTest(self.test)
        for shared in self.shared.values():
            shared.start()
        connection_local.install().share({alias: shared.connection for alias, shared in self.shared.items()})
        self._patches = contextlib.ExitStack()
        self._patches.enter_context(patches.atomic_blocks(self.shared.get))
        self._patches.enter_context(patches.captures(self.shared.get))
        _current.value = self

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
        if _current.value is not self:
            return
        busy = {alias: shared.end(self.test) for alias, shared in self.shared.items()}
        _current.value = None
        self._patches.close()
        self._threads.end()
        connection_local.install().share({})
        connection_local.install_if_needed()
        for alias, holder in busy.items():
            if holder:
                raise SharedConnectionBusy(
                    f"{self.test or 'the test'} ended while its database {alias!r} was in use: {holder}. "
                    "Join the thread, or leave the atomic block, before the test ends."
                )

    def __enter__(self) -> ConnectionSharing:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


_current = Slot[ConnectionSharing]("sharing of connections")


@contextlib.contextmanager
def share_connections(test: str = "", *, wait_limit: float = WAIT_LIMIT) -> Generator[ConnectionSharing]:
    """Within the block, every thread uses the connections of the calling thread, inside their open transaction.

    For those who do not use pytest; with pytest, the fixtures do it. The caller opens the transaction and rolls it
    back::

        with transaction.atomic(), share_connections():
            asyncio.run(scenario())
            transaction.set_rollback(True)

    Args:
        test: the test, for messages.
        wait_limit: how long a thread waits for another, in seconds.

    Raises:
        BackchannelError: no transaction is open, or the connections are shared already.
        SharedConnectionBusy: at the end, a thread is still inside an atomic block or a query.
    """
    with ConnectionSharing(test, wait_limit=wait_limit) as sharing:
        yield sharing


def forget_sharing() -> None:
    """In a forked child: no connection is shared any more, since no other thread is there."""
    sharing, _current.value = _current.value, None
    for shared in sharing.shared.values() if sharing is not None else ():
        shared.forget()
    if sharing is not None:
        sharing.shared.clear()


def find_shared(alias: str) -> SharedConnection | None:
    """The connection of an alias that is shared now; None where none is."""
    return _shared().get(alias)


def _shared() -> dict[str, SharedConnection]:
    return _current.value.shared if _current.value is not None else {}


_held = Slot[list[Any]]("atomic blocks around a test")


def hold_blocks() -> None:
    """From now on, the atomic blocks that the calling thread is in now are not the code's: fixtures hold them."""
    _held.value = [block for connection in _initialised() for block in connection.atomic_blocks]


def release_blocks() -> None:
    """Undo :func:`hold_blocks`."""
    _held.value = None


def in_code_transaction(alias: str | None = None) -> bool:
    """Whether the current thread is inside ``transaction.atomic()`` of the code under test.

    A test's own transaction (of ``db``, of Django's ``TestCase``, or of a fixture) does not count.

    Args:
        alias: the database; None asks about all of them.
    """
    shared_now = _shared()
    if any(shared.in_code_transaction for name, shared in shared_now.items() if alias in (None, name)):
        return True
    held = _held.value or ()
    return any(
        not getattr(block, "_from_testcase", False) and not any(block is other for other in held)
        for connection in _initialised()
        if connection.alias not in shared_now and alias in (None, connection.alias)
        for block in connection.atomic_blocks
    )


def code_blocks() -> list[Any]:
    """The atomic blocks of :func:`in_code_transaction`, of all databases, those of each from outside to inside."""
    shared_now = _shared()
    held = _held.value or ()
    blocks = [block for shared in shared_now.values() for block in shared.code_blocks]
    for connection in _initialised():
        if connection.alias not in shared_now:
            blocks += [
                block
                for block in connection.atomic_blocks
                if not getattr(block, "_from_testcase", False) and not any(block is other for other in held)
            ]
    return blocks


def any_connections() -> bool:
    """Whether there may be a connection: Django has read its DATABASES."""
    # Django keeps there what it has read (5.2–6.1). A look-up, and no import: it is done for every test of a project.
    return "settings" in vars(sys.modules["django.db"].connections)


def _initialised() -> list[Any]:
    """The connections that the calling thread has made. A test may have put other settings in place: none are read."""
    if "django.db" not in sys.modules or not any_connections():
        return []
    try:
        return made_connections()
    except ThreadOutlivedTest:  # such a thread has none that is ours, and who only looks does not touch the database
        return []
