"""Writes what the broker and the worker do into the test's log, with its cause and its line."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType, MethodType
from typing import Any

from celery.app.task import Task

from ...clock.virtual import active_clock
from ...events import EventLog, Location, current_cause, is_project_file, location
from .. import records
from ..expect.messages import EnqueuedTask, decode
from .broker import Broker, Listener, RawMessage, StoredMessage

# How many messages that are done are not packed yet.
KEPT_WHOLE = 50


@dataclass(eq=False, slots=True)
class MessageHistory:
    """What is known of one message of a task, wherever it is and however often it is delivered.

    Attributes:
        number: its place in the order of publishing.
        name: the task's name.
        id: the task's id.
        retries: how many times the task was retried before.
        where: the line that enqueued it.
        event: the number of the event of its enqueueing.
        cause: the number of the last event that happened to it.
        in_transaction: whether it was published before the commit of an open transaction.
        parent: the message whose task published it.
        depth: how many messages led to it, one from the other.
        deliveries: how often a worker has run it.
        published_at: when it was published, in seconds since the epoch.
        group: the id of the group that it belongs to.
        root_id: the id of the task that began the workflow.
        time_limits: the hard and the soft one of this call, where they were given.
        own_retry: the line of a retry that its running task has published; True where there is no such line.
        finished: whether it is done: acknowledged, rejected, dropped.
    """

    number: int
    name: str
    id: str
    retries: int
    where: Location | None
    event: int
    cause: int
    in_transaction: bool
    parent: MessageHistory | None
    depth: int
    published_at: float
    group: str | None = None
    root_id: str | None = None
    time_limits: Any = None
    deliveries: int = 0
    own_retry: Location | bool = False
    finished: bool = False

    def lineage(self) -> list[str]:
        """The names of the tasks that led to it, and its own."""
        names: list[str] = []
        history: MessageHistory | None = self
        while history is not None:
            names.append(history.name)
            history = history.parent
        return names[::-1]


class Recorder(Listener):
    """Keeps the history of all messages, and the account of which are held by a worker.

    Args:
        app: the Celery app.
        log: where events go.
        in_transaction: whether the project's code is in a transaction of its own, now.

    Attributes:
        history: of all messages that were published, in order.
        held: the messages that a worker has received and not begun, by identity.
        running: the history of the task whose function runs now.
        captures: lists to which each published message is added.
        problems: what to do about a problem: ``log.problem``, or nothing.
    """

    broker: Broker

    def __init__(self, app: Any, log: EventLog, in_transaction: Callable[[], bool] | None = None) -> None:
        self.app = app
        self.log = log
        self.history: list[MessageHistory] = []
        self.latest: dict[str, MessageHistory] = {}
        self.held: dict[int, StoredMessage] = {}
        self.running: MessageHistory | None = None
        self.captures: list[list[EnqueuedTask]] = []
        self.boundary: CodeType | None = None
        # The last ones that are done: a test with few tasks packs none.
        self._done: deque[StoredMessage] = deque()
        # Each message that was sent has its own bound method of it, which is as small as such a thing can be.
        self._reads = self.task
        self._in_transaction = in_transaction or (lambda: False)

    # ----------------------------------------------------------------------- messages

    def task(self, message: StoredMessage) -> EnqueuedTask:
        """The message, as the test sees it; it is read once, as long as it waits."""
        history: MessageHistory = message.history
        key = (message.queue, message.redelivered, history.event, active_clock())
        if message.seen is not None and message.seen[0] == key:
            seen: EnqueuedTask = message.seen[1]
            return seen
        task = self._read(message)
        if not history.finished:
            message.seen = key, task
        return task

    def _read(self, message: StoredMessage) -> EnqueuedTask:
        history: MessageHistory = message.history
        return decode(
            message.raw,
            queue=message.queue,
            app=self.app,
            at=history.published_at,
            in_transaction=history.in_transaction,
            where=history.where,
            event=history.event,
        )

    def published(self, message: StoredMessage) -> None:
        """Note a new message, and who sent it."""
        if not message.is_task:
            return
        history = message.history = self._note(message.raw, message.published_at)
        event = self.log.record(
            records.Enqueued,
            where=history.where,
            at=message.queued_at,
            task=history.name,
            task_id=history.id,
            queue=message.queue,
            in_transaction=history.in_transaction,
            retries=history.retries,
            source=MethodType(self._reads, message),
        )
        history.event = history.cause = event.id
        for sent in self.captures:
            sent.append(self.task(message))

    def unroutable(self, raw: RawMessage) -> None:
        """Note a message that no queue takes."""
        if not self.broker.is_task(raw):
            return
        history = self._note(raw, 0.0)
        info = raw["properties"]["delivery_info"]
        self.log.problem(
            "unroutable_message",
            f"{history.name} was published to exchange {info.get('exchange')!r} with routing key "
            f"{info.get('routing_key')!r}, and no queue is bound for that: the broker drops the message.",
            where=history.where,
        )

    def refused(self, raw: dict[str, Any]) -> None:
        """Note a message that the broker refused."""
        headers = raw.get("headers") or {}
        self.log.record(
            records.PublishRefused,
            where=self._site(),
            task=str(headers.get("task", "?")),
            task_id=str(headers.get("id", "")),
        )

    def _note(self, raw: RawMessage, published_at: float) -> MessageHistory:
        headers: dict[str, Any] = raw.get("headers") or {}
        if not headers.get("task"):
            task = decode(raw, app=self.app)  # message protocol 1: everything is in the body
            headers = {"task": task.name, "id": task.id, "retries": task.retries, "group": task.group_id}
        limits = headers.get("timelimit")
        parent = self.running
        where = self._site() or (parent.where if parent is not None else None)
        history = MessageHistory(
            number=len(self.history),
            name=headers["task"],
            id=headers["id"],
            retries=headers.get("retries") or 0,
            where=where,
            event=0,
            cause=current_cause() or 0,
            in_transaction=self._in_transaction(),
            parent=parent,
            depth=0 if parent is None else parent.depth + 1,
            published_at=published_at,
            group=headers.get("group"),
            root_id=headers.get("root_id"),
            time_limits=None if limits is None or not any(limits) else tuple(limits),
        )
        if parent is not None and history.id == parent.id and history.retries > parent.retries and _retry_raises():
            parent.own_retry = where or True
        self.history.append(history)
        self.latest[history.id] = history
        return history

    def site(self) -> Location | None:
        """The line of the project's code that runs now; None where the worker's own code does."""
        return self._site()

    def _site(self) -> Location | None:
        """The line of the project that is publishing; None where the worker's own code is."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            if code is self.boundary:
                return None  # above is the test that steps the worker: it does not publish
            if is_project_file(code.co_filename):
                return location(code.co_filename, frame.f_lineno, code.co_qualname)
            frame = frame.f_back
        return None

    # ----------------------------------------------------------------------- delivery

    def delivered(self, message: StoredMessage) -> None:
        """Note that a worker has it."""
        history: MessageHistory = message.history
        self.broker.version += 1
        self.held[id(message)] = message
        worker = getattr(message.holder, "name", "a consumer")
        self._record(
            records.Delivered, message, at=message.delivered_at, worker=worker, redelivered=message.redelivered
        )
        history.finished = False

    def begun(self, message: StoredMessage) -> None:
        """Note that its function is about to be called."""
        self.broker.version += 1
        self.held.pop(id(message), None)
        message.history.deliveries += 1

    def acknowledged(self, message: StoredMessage) -> None:
        """Note that the broker has forgotten it."""
        self._finish(message)
        self._done.append(message)
        if len(self._done) > KEPT_WHOLE:
            self._done.popleft().pack()
        self._record(records.Acked, message, keep=True)

    def rejected(self, message: StoredMessage, requeue: bool) -> None:
        """Note that the worker did not want it."""
        self._finish(message)
        self._record(records.Rejected, message, requeue=requeue)

    def requeued(self, message: StoredMessage, reason: str) -> None:
        """Note that it is in its queue again."""
        # On Redis the worker that holds it still does: it will run twice.
        self.broker.version += 1
        if self.broker.profile != "redis":
            self.held.pop(id(message), None)
        self._record(records.Redelivered, message, reason=reason)

    def dead_lettered(self, message: StoredMessage, reason: str, targets: tuple[str, ...]) -> None:
        """Note where it went."""
        self._finish(message)
        self._record(records.DeadLettered, message, reason=reason, targets=targets)

    def dropped(self, message: StoredMessage, reason: str) -> None:
        """Note that it is gone."""
        self._finish(message)
        self._record(records.MessageLost, message, reason=reason)

    def lost(self, message: StoredMessage, reason: str, *, cause: int) -> None:
        """Note that its task will never run to its end."""
        message.history.cause = cause
        self._record(records.MessageLost, message, reason=reason)

    def forget_holder(self, holder: object) -> None:
        """A worker is gone, and holds nothing any more."""
        self.broker.version += 1
        for key, message in list(self.held.items()):
            if message.holder is holder:
                del self.held[key]

    def state_set(self, history: MessageHistory, state: str, reason: str) -> None:
        """Note that the worker decided on a task without running it."""
        event = self._of_task(records.StateSet, history, where=history.where, state=state, reason=reason)
        history.cause = event.id

    def _finish(self, message: StoredMessage) -> None:
        self.broker.version += 1
        message.seen = None
        self.held.pop(id(message), None)
        if message.is_task:
            message.history.finished = True

    def _record(self, kind: Any, message: StoredMessage, *, keep: bool = False, **fields: Any) -> None:
        if not message.is_task:
            return
        history: MessageHistory = message.history
        event = self.log.record(
            kind, cause=history.cause, task=history.name, task_id=history.id, queue=message.queue, **fields
        )
        if not keep:
            history.cause = event.id

    def _of_task(self, kind: Any, history: MessageHistory, **fields: Any) -> Any:
        return self.log.record(kind, cause=history.cause, task=history.name, task_id=history.id, **fields)

    def in_body(self, history: MessageHistory) -> _InBody:
        """Within the block the function of this task runs: what is published is its doing."""
        return _InBody(self, history)


class _InBody:
    """A class, since it stands around each body: a generator costs twice as much."""

    __slots__ = ("_before", "_history", "_recorder")

    def __init__(self, recorder: Recorder, history: MessageHistory) -> None:
        self._recorder = recorder
        self._history = history

    def __enter__(self) -> None:
        self._before, self._recorder.running = self._recorder.running, self._history

    def __exit__(self, *error: object) -> None:
        self._recorder.running = self._before


# --- private API: celery.app.task.Task.retry, seen on celery 5.5–5.7: whether a retry that is being published will be
# --- raised is the value of its argument `throw`; nothing else tells it.


def _retry_raises() -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        # By its names: a library that watches tasks may have put another function into the place of Task.retry.
        if frame.f_code.co_qualname == "Task.retry" and frame.f_globals.get("__name__") == Task.__module__:
            return bool(frame.f_locals.get("throw", True))
        frame = frame.f_back
    return False


# --- end of private API
