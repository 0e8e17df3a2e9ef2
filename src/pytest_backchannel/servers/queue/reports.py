"""What is known of the messages of one test on a real broker: as they were published, and as the worker reports."""

from __future__ import annotations

import json
import pickle
import time
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...events import EventLog, Location, caller
from ...tasks import records
from ...tasks.expect.messages import EnqueuedTask, call_text, decode
from ...tasks.outcomes import HandlerError, HandlerFailure, Outcome, TaskFailure, TaskRetry, TaskSuccess
from ..publishing import Raw, queue_of

ENDED = ("done", "lost")
"""The states of a message that stays as it is, unless the broker delivers it again."""


@dataclass(eq=False)
class Message:
    """One message, and how far it is.

    Attributes:
        task: as it was published.
        event: the number of the last event that happened to it.
        state: ``waiting``, ``received``, ``started``, ``done``, ``lost``, or ``invisible``: Redis keeps it for a worker
            that is gone.
        parent: the message whose task published it.
        deliveries: how often its function was begun.
        handlers: those that failed in the delivery that has not ended yet.
    """

    task: EnqueuedTask
    event: int
    state: str = "waiting"
    parent: Message | None = None
    deliveries: int = 0
    handlers: list[HandlerError] = field(default_factory=list)

    @property
    def due(self) -> bool:
        """Whether a worker would run it now."""
        return self.task.eta is None or self.task.eta.timestamp() <= time.time()


class Account:
    """The messages of one test, what came of them, and the events in its log.

    Args:
        app: the Celery app.
        log: where events go.
        path: the file that the worker writes (``instrument.py``).

    Attributes:
        messages: all that were published, in order.
        outcomes: what came of each delivery, in order, as far as the reports have been read.
        captures: lists to which each published message is added.
        killed_by_fault: whether the worker has said that it dies now, as the test wants it.
    """

    def __init__(self, app: Any, log: EventLog, path: Path) -> None:
        self.path = path
        self.messages: list[Message] = []
        self.outcomes: list[Outcome] = []
        self.captures: list[list[EnqueuedTask]] = []
        self.killed_by_fault = False
        self._app = app
        self._log = log
        self._read = 0
        self._early: list[Mapping[str, Any]] = []

    def begin(self) -> None:
        """Make the file, empty."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    def in_state(self, *states: str) -> list[Message]:
        """The messages in some states, in the order of their publishing."""
        return [message for message in self.messages if message.state in states]

    def anything_open(self) -> bool:
        """Whether a message is still to end, now or later."""
        self.take_reports()
        return any(message.state not in ENDED for message in self.messages)

    def sent(self, raw: Raw) -> None:
        """The test's own process has published one."""
        self._add(raw, queue_of(raw, self._app), caller(2), parent=None)

    def _add(self, raw: Raw, queue: str, where: Location | None, parent: Message | None) -> None:
        if where is None and parent is not None:
            where = parent.task.where
        task = decode(raw, queue=queue, app=self._app, where=where)
        event = self._log.record(
            records.Enqueued,
            cause=parent.event if parent is not None else None,
            where=where,
            task=task.name,
            task_id=task.id,
            queue=queue,
            retries=task.retries,
            source=lambda: task,
        )
        self.messages.append(Message(task, event.id, parent=parent))
        for sent in self.captures:
            sent.append(task)

    def take_reports(self) -> bool:
        """Read what the worker has written since; whether there was anything."""
        with open(self.path, "rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        if not whole:
            return False
        self._read += len(whole) + 1
        for line in whole.split(b"\n"):
            report = json.loads(line)
            getattr(self, f"_on_{report['kind']}")(report)
        return True

    def _find(self, report: Mapping[str, Any], *states: str) -> Message | None:
        # A retry has the id of what it repeats, and the end of a chain that of what it replaces.
        found = [m for m in self.messages if m.task.id == report["id"] and m.task.name == report["task"]]
        retries = report.get("retries")
        if retries is not None:
            found = [m for m in found if m.task.retries == retries]
        return next((m for m in reversed(found) if m.state in states), None)

    def _on_published(self, report: Mapping[str, Any]) -> None:
        where = Location(*report["where"]) if report["where"] else None
        root = report["raw"]["headers"].get("parent_id") or report["raw"]["headers"].get("id")
        parent = next((m for m in reversed(self.messages) if m.task.id == root), None)
        self._add(report["raw"], report["queue"], where, parent)
        early, self._early = self._early, []
        for received in early:
            self._on_received(received)

    def _on_received(self, report: Mapping[str, Any]) -> None:
        again = ("done",) if report["redelivered"] else ()  # one that was rejected, to be put back
        message = self._find(report, "waiting", "invisible", "lost", *again)
        if message is None:
            # A worker may receive a message before the task that published it has said so.
            self._early.append(report)
            return
        message.state = "received"
        self.record(records.Delivered, message, worker="worker", redelivered=report["redelivered"])

    def _on_started(self, report: Mapping[str, Any]) -> None:
        message = self._find(report, "received", "waiting")
        if message is not None:
            message.state = "started"
            message.deliveries += 1
            task = message.task
            self.record(records.BodyStarted, message, call=call_text(task.name, task.args, task.kwargs))

    def _on_ended(self, report: Mapping[str, Any]) -> None:
        message = self._find(report, "started", "received")
        if message is None or report["state"] is None:  # its process is about to end; the worker will say what it means
            return
        message.state = "done"
        value = thaw(report["value"])
        self.record(records.BodyEnded, message, state=report["state"], result=repr(value) if value is not None else "")
        self._outcome(message, report["state"], value, report)

    def _on_settled(self, report: Mapping[str, Any]) -> None:
        message = self._find(report, "started", "received", "waiting")
        if message is None:
            return
        message.state = "done"
        value = thaw(report["value"])
        reason = report.get("reason") or (f"{type(value).__name__}: {value}" if value is not None else report["state"])
        self.record(records.StateSet, message, state=report["state"], reason=reason)
        self._outcome(message, report["state"], value, report)

    def _on_broken(self, report: Mapping[str, Any]) -> None:
        """A handler has failed, and has taken the end of its task with it."""
        message = self._find(report, "started", "received")
        if message is not None:
            message.state = "done"
            error = thaw(report["value"])
            self.record(records.BodyEnded, message, state="FAILURE", result=repr(error))
            self._outcome(message, "FAILURE", error, report)

    def _on_handler(self, report: Mapping[str, Any]) -> None:
        message = self._find(report, "started", "received")
        exception = _exception(thaw(report["value"]), report)
        error = HandlerError(
            handler=report["handler"], exception=exception, task=report["task"], task_id=report["id"] or None
        )
        if message is not None:
            error.note_once(message.handlers)
        else:
            beside = self._find(report, *ENDED, "waiting")
            self.outcomes.append(_handler_failure(error, beside))

    def _on_fault(self, report: Mapping[str, Any]) -> None:
        if report["fault"] == "kill_worker":
            self.killed_by_fault = True
            self._log.record(records.WorkerKilled, worker="worker", when=report["when"])
        elif report["fault"] == "lose_child":
            message = self._find(report, "started")
            if message is not None:
                self.record(records.ChildLost, message, when=report["when"])

    def _outcome(self, message: Message, state: str, value: Any, report: Mapping[str, Any]) -> None:
        task, handlers = message.task, message.handlers
        message.handlers = []
        common: dict[str, Any] = {
            "name": task.name,
            "id": task.id,
            "state": state,
            "args": task.args,
            "kwargs": task.kwargs,
            "retries": task.retries,
            "where": task.where,
        }
        if state == "SUCCESS":
            self.outcomes.append(TaskSuccess(**common, result=value))
        elif state == "RETRY":
            self.outcomes.append(TaskRetry(**common, countdown=report.get("when"), exc=thaw(report["exc"])))
        elif state == "FAILURE":
            error = _exception(value, report)
            beside = tuple(other for other in handlers if repr(other.exception) != repr(error))
            self.outcomes.append(TaskFailure(**common, exception=error, handlers=beside))
        else:
            self.outcomes.append(Outcome(**common))
        if state != "FAILURE":
            self.outcomes.extend(_handler_failure(error, message) for error in handlers)

    def record(self, kind: type[records.TaskEvent], message: Message, **fields: Any) -> None:
        """Note what has happened to a message."""
        task = message.task
        event = self._log.record(
            kind, cause=message.event, task=task.name, task_id=task.id, queue=task.queue or "", **fields
        )
        message.event = event.id


def _exception(value: Any, report: Mapping[str, Any]) -> BaseException:
    return value if isinstance(value, BaseException) else RuntimeError(report.get("reason") or str(value))


def _handler_failure(error: HandlerError, message: Message | None) -> HandlerFailure:
    """The failure of a handler beside its task, or of one that belongs to no task that is known."""
    if message is None:
        return HandlerFailure.of(error)
    task = message.task
    return HandlerFailure.of(error, args=task.args, kwargs=task.kwargs, retries=task.retries, where=task.where)


def thaw(text: str) -> Any:
    """What the worker has frozen; its repr where this process can't make it."""
    try:
        return pickle.loads(b64decode(text))
    except Exception as error:
        return f"(can't be unpickled: {error})"
