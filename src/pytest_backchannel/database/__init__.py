"""The database in tests with threads and event loops: one connection for all of them, inside the test's transaction.

:func:`share_connections` shares the connections of the calling thread, while a test's transaction is open on them, with
every other thread; :func:`in_code_transaction` says whether the code under test is inside ``transaction.atomic()`` now.
"""

from __future__ import annotations

from .sharing import WAIT_LIMIT, ConnectionSharing, current_sharing, in_code_transaction, share_connections
from .thread_connections import ThreadConnections

#: The same, by the verb that its errors use.
lend = share_connections

__all__ = [
    "WAIT_LIMIT",
    "ConnectionSharing",
    "ThreadConnections",
    "current_sharing",
    "in_code_transaction",
    "lend",
    "share_connections",
]
