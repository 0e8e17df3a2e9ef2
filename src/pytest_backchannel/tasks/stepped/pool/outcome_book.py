"""Takes down what came of each delivery."""

from __future__ import annotations

from typing import Any

from ...outcomes import HandlerError, HandlerFailure, Outcome, TaskFailure
from ..broker import StoredMessage
from ..recorder import MessageHistory, Recorder
from .delivery import Delivery
from .endings import End


class OutcomeBook:
    """Keeps the outcomes of one queue.

    Args:
        recorder: takes down what happens.

    Attributes:
        outcomes: what came of each delivery, in order.
        message: the message of the request that runs now.
        delivery: what is known of that request, from its acceptance on.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.outcomes: list[Outcome] = []
        self.message: StoredMessage | None = None
        self.delivery: Delivery | None = None

    def conclude(self, delivery: Delivery, end: End, args: tuple[Any, ...], kwargs: Any) -> None:
        """Keep what has come of one delivery."""
        history = delivery.history
        failure = delivery.failed_with or delivery.failure or end.fields.get("exception")
        handlers = tuple(error for error in delivery.handlers if error.exception is not failure)
        if end.kind not in (None, TaskFailure):
            self.end(history, end.kind or Outcome, end.state, args=args, kwargs=kwargs, **end.fields)
            if handlers:
                self.end(
                    history, HandlerFailure, "FAILURE", args=args, kwargs=kwargs, handlers=handlers,
                    exception=handlers[0].exception,
                )  # fmt: skip
        elif failure is not None:
            self.end(history, TaskFailure, "FAILURE", args=args, kwargs=kwargs, exception=failure, handlers=handlers)

    def handler_failed(self, error: HandlerError) -> None:
        """A handler has failed, and Celery has only logged it."""
        if self.delivery is not None:
            self.delivery.add_handler(error)
            return
        history = self.recorder.latest.get(error.task_id or "")
        where = self.recorder.site() if history is None else history.where
        self.outcomes.append(HandlerFailure.of(error, where=where))

    def end(self, history: MessageHistory, kind: type[Outcome], state: str, **fields: Any) -> None:
        """Keep one outcome."""
        if "args" not in fields and self.message is not None and self.message.history is history:
            task = self.recorder.task(self.message)
            fields.update(args=task.args, kwargs=task.kwargs)
        self.outcomes.append(
            kind(name=history.name, id=history.id, state=state, retries=history.retries, where=history.where, **fields)
        )
