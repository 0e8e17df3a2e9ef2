"""The database in tests with threads and event loops: one connection for all of them, inside the test's transaction.

:func:`lend` lends the connections of the calling thread, while a test's transaction is open on them, to every other
thread; :func:`in_code_transaction` says whether the code under test is inside ``transaction.atomic()`` now.
"""

from __future__ import annotations

from .loan import WAIT_LIMIT, Loan, current_loan, in_code_transaction, lend
from .workers import WorkerConnections

__all__ = ["WAIT_LIMIT", "Loan", "WorkerConnections", "current_loan", "in_code_transaction", "lend"]
