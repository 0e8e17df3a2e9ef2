"""Messages sent over a channel layer inside ``transaction.atomic()``, where they should wait for the commit."""

from __future__ import annotations

from ...events import EventLog, Location, Problem
from ..sharing import in_code_transaction
from .enqueues import entered_at, within_told
from .heard import hears


def tell_send(log: EventLog, call: str, where: Location | None) -> None:
    """Record ``sent_in_transaction`` if the current thread is inside an atomic block of the code under test.

    A line that sends often is told once. What a task sends that was itself enqueued in the block, and runs there since
    Celery is eager, is no news: that was told.

    Args:
        log: the log of the test.
        call: what was sent, such as ``group_send('room-7', …)``.
        where: the line that sent it.
    """
    if within_told() or not in_code_transaction():
        return
    if any(problem.slug == "sent_in_transaction" and problem.where == where for problem in log.of(Problem)):
        return
    if hears.value is not None:
        hears.value("sent_in_transaction", call, where)
    log.problem(
        "sent_in_transaction",
        f"{call} was called inside transaction.atomic(){entered_at()}, before the commit: who receives the message may "
        "not find the rows that it is about, and a rollback does not take it back.\n"
        "Send it from transaction.on_commit(...).",
        where=where,
    )
