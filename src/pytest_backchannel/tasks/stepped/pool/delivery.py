"""What is known of the request that runs now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Reject, Retry

from ...outcomes import HandlerError
from ..broker import StoredMessage
from ..recorder import MessageHistory
from .job import Job


@dataclass(eq=False)
class Delivery:
    """What is known of the request that runs now; around the run itself, a context manager.

    Attributes:
        message: its message.
        history: of that message.
        job: the request, as the pool keeps it.
        hard: its hard time limit, in seconds.
        result: what the body has returned.
        raised: what the body has raised.
        failure: with what the task has failed, as Celery tells it first.
        handlers: the failures of handlers.
    """

    message: StoredMessage
    history: MessageHistory
    job: Job
    hard: float | None
    result: Any = None
    raised: BaseException | None = None
    failure: BaseException | None = None
    handlers: list[HandlerError] = field(default_factory=list)
    _deaf: list[Any] = field(default_factory=list)

    @property
    def failed_with(self) -> BaseException | None:
        """What the body itself has raised, where that is a failure."""
        decision = isinstance(self.raised, Retry | Ignore | Reject)
        return None if decision else self.raised

    # --- private API: celery.utils.dispatch.Signal and celery.app.trace, seen on celery 5.5–5.7: Celery's tracer asks
    # --- this very list whether anybody is to hear that the task has run.

    def kill(self) -> None:
        """The process is killed: nothing of it runs any more, so that nobody hears of its end."""
        self._deaf = list(signals.task_postrun.receivers)
        signals.task_postrun.receivers.clear()

    def __enter__(self) -> None:
        """The process runs the task."""

    def __exit__(self, *error: object) -> None:
        """Another process takes its place: receivers hear again."""
        if self._deaf:
            signals.task_postrun.receivers[:] = self._deaf

    # --- end of private API

    def add_handler(self, error: HandlerError) -> None:
        """Note the failure of a handler, once."""
        error.note_once(self.handlers)
