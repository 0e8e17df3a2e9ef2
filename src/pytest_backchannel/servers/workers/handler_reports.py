"""Inside a worker process of a test: it reports the handlers that fail, of which Celery only logs.

A receiver of a signal, ``on_success`` and ``after_return`` may fail beside a task that ends as it would. An errback, or
``on_failure``, takes the end of its task with it: Celery then tells of an internal error, and of no failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tasks.handlers import Listening, handler_error
from ...tasks.outcomes import HandlerError


class HandlerReports:
    """Reports each failure of a handler.

    Args:
        report: takes the reports.
        freeze: makes text of an exception.
    """

    def __init__(self, report: Callable[..., None], freeze: Callable[[Any], str]) -> None:
        self._report = report
        self._freeze = freeze
        self._raised: tuple[str, BaseException] | None = None
        self._listening = Listening(self._logged)

    def connect(self) -> None:
        """Listen, for the life of the process."""
        from celery import signals

        signals.task_internal_error.connect(self._on_internal_error, weak=False)
        self._listening.__enter__()

    def body_raised(self, task_id: str, error: BaseException) -> None:
        """Remember what a body has raised: where its handlers fail, it is the first reason."""
        self._raised = (task_id, error)

    def _logged(self, error: HandlerError) -> None:
        self._handler(error, error.task_id or "", error.task)

    def _on_internal_error(self, sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
        self._handler(handler_error(exception), task_id, sender.name)
        first = self._raised[1] if self._raised is not None and self._raised[0] == task_id else exception
        self._report("broken", id=task_id, task=sender.name, value=self._freeze(first))

    def _handler(self, error: HandlerError, task_id: str, task: str | None) -> None:
        self._report("handler", id=task_id, task=task, handler=error.handler, value=self._freeze(error.exception))
