"""Runs a body that is given several requests at once (celery-batches), outside of Celery's tracer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ....events import caused_by
from ...extensions.batches import raised_by
from ...outcomes import TaskFailure, TaskSuccess
from ...records import BodyEnded, BodyStarted
from ..broker import StoredMessage
from ..recorder import MessageHistory
from .body_place import body_place
from .job import Job
from .outcome_book import OutcomeBook


def run_batch(
    book: OutcomeBook,
    job: Job,
    task: Any,
    ids: Sequence[str],
    target: Callable[[], Any],
    ran: Callable[[StoredMessage], None],
) -> None:
    """Run it; what comes of it has come of each of the requests.

    Args:
        book: takes down the outcomes.
        job: tells the callbacks of the pool.
        task: the task.
        ids: those of the requests.
        target: what the pool was given, with its arguments.
        ran: called with the message of each request afterwards.
    """
    recorder = book.recorder
    running, book.delivery = book.delivery, None
    of_batch = [message for message in recorder.held.values() if message.history.id in ids]
    for message in of_batch:
        recorder.begun(message)
    first: MessageHistory = of_batch[0].history
    known: dict[str, Any] = {"task": task.name, "task_id": first.id}
    call = f"{task.name}(…), a batch of {len(ids)}"
    started = recorder.log.record(BodyStarted, cause=first.cause, call=call, where=body_place(task), **known)
    for message in of_batch:
        message.history.cause = started.id
    try:
        job.accept()
        with caused_by(started), recorder.in_body(first), raised_by(task) as raised:
            job.returned(target())
        state, shown = ("FAILURE", repr(raised[0])) if raised else ("SUCCESS", "")
        recorder.log.record(BodyEnded, cause=started.id, state=state, result=shown, **known)
        for message in of_batch:
            kind, fields = (TaskFailure, {"exception": raised[0]}) if raised else (TaskSuccess, {})
            published = recorder.task(message)
            book.end(message.history, kind, state, args=published.args, kwargs=published.kwargs, **fields)
            ran(message)
    finally:
        book.delivery = running
