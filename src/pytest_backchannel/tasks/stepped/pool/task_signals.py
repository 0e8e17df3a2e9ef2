"""What Celery tells of tasks by its signals, and the worker of messages that it throws away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import signals
from celery.exceptions import Reject

from ...expect.matching import failing_import, near_names
from ...handlers import Listening, Receivers, handler_error
from ...outcomes import Outcome, TaskFailure
from .outcome_book import OutcomeBook


class TaskSignals:
    """Writes into the book what is told outside of a call.

    Args:
        app: the Celery app.
        book: takes it down.
        why_unregistered: says of a task why a worker of production does not know it; None where it does.
    """

    def __init__(self, app: Any, book: OutcomeBook, why_unregistered: Callable[[Any], str | None] | None) -> None:
        self.app = app
        self.book = book
        self.recorder = book.recorder
        self._listening = Listening(book.handler_failed)
        self._receivers = Receivers(
            [
                (signals.task_failure, self._on_failure),
                (signals.task_internal_error, self._on_internal_error),
                (signals.task_revoked, self._on_revoked),
                (signals.task_unknown, self._on_unknown),
                (signals.task_rejected, self._on_rejected),
            ]
        )
        self._why_unregistered = why_unregistered
        # By the name of the task: what a worker of production lacks, though this process has it.
        self._unregistered: dict[str, str] = {}

    def connect(self) -> None:
        """Listen to what Celery tells of tasks."""
        self._receivers.connect()
        self._listening.__enter__()

    def disconnect(self) -> None:
        """Listen no more."""
        self._listening.__exit__()
        self._receivers.disconnect()

    def _on_failure(self, task_id: str, exception: BaseException, **kwargs: Any) -> None:
        delivery = self.book.delivery
        # A Reject is the task's own decision, and counted as such; celery 5.7 stores a failure for it as well.
        if isinstance(exception, Reject):
            return
        if delivery is not None and delivery.history.id == task_id:
            if delivery.failure is None:  # the first one tells the reason; what Celery adds comes of it
                delivery.failure = exception
        elif (history := self.recorder.latest.get(task_id)) is not None:
            self.book.end(history, TaskFailure, "FAILURE", exception=exception)

    def _on_internal_error(self, task_id: str, exception: BaseException, **kwargs: Any) -> None:
        if self.book.delivery is not None and self.book.delivery.history.id == task_id:
            self.book.delivery.add_handler(handler_error(exception))

    def _on_revoked(self, request: Any, expired: bool = False, **kwargs: Any) -> None:
        history = self.recorder.latest.get(request.id)
        if history is not None:
            self.recorder.state_set(history, "REVOKED", "expired" if expired else "revoked")
            self.book.end(history, Outcome, "REVOKED")

    def is_registered(self, task: Any) -> bool:
        """Whether a worker of production has a task that this process has."""
        why = self._why_unregistered(task) if self._why_unregistered is not None else None
        if why is not None:
            self._unregistered[task.name] = why
        return why is None

    def _on_unknown(self, name: str, id: str, **kwargs: Any) -> None:
        history = self.recorder.latest.get(id)
        if history is None:
            return
        self.recorder.state_set(history, "FAILURE", "no worker knows a task of this name")
        self.book.end(history, Outcome, "FAILURE")
        self.recorder.log.problem(
            "unknown_task",
            f"no worker knows a task named {name!r}: its message was thrown away.\n"
            f"{failing_import(self.app) or self._unregistered.get(name) or _nearest_name(name, self.app)}",
            where=history.where,
            cause=history.cause,
        )

    def _on_rejected(self, message: Any, exc: BaseException | None = None, **kwargs: Any) -> None:
        self.undecodable(message, exc)

    def undecodable(self, message: Any, exc: BaseException | None) -> None:
        """A worker could not read a message, and has thrown it away."""
        history = message._raw.stored.history
        if history is None:
            return
        reason = "it is no message of a task" if exc is None else f"{type(exc).__name__}: {exc}"
        self.recorder.state_set(history, "PENDING", f"thrown away by the worker: {reason}")
        self.book.end(history, Outcome, "REJECTED")
        self.recorder.log.problem(
            "undecodable_message",
            f"the worker can't read the message of {history.name}, and has thrown it away: {reason}\n"
            f"accept_content is {list(self.app.conf.accept_content)!r}; the message is "
            f"{message.content_type!r}. Its state stays PENDING for ever.",
            where=history.where,
            cause=history.cause,
        )


def _nearest_name(name: str, app: Any) -> str:
    near = near_names(name, app)
    hint = f"Is {near[0]!r} meant?" if near else "Is the module that defines it imported by the worker?"
    return f"{hint} A task is registered when its module is imported (app.autodiscover_tasks, CELERY_IMPORTS)."
