"""The facts that stand in the log of a test: of its doubles, its real brokers, and the layers that are observed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ....events import Event, EventLog
from ..facts import note


def note_log(log: EventLog, *, real: bool) -> None:
    """Note what the log says.

    Args:
        log: the log of a test that has ended.
        real: whether its tasks ran in a worker process of their own.
    """
    reader = _Reader(log, real)
    for event in log.events:
        # By name, not by class: reading a log imports neither Celery nor Channels.
        read = _READERS.get((type(event).__module__, type(event).__name__))
        if read is not None:
            read(reader, event)


class _Reader:
    def __init__(self, log: EventLog, real: bool) -> None:
        self.real = real
        self.by_id: dict[int, Event] = {event.id: event for event in log.events}
        # How often the body of a task has begun since its message was published.
        self.begun: Counter[str] = Counter()

    # ------------------------------------------------------------------ tasks

    def enqueued(self, event: Any) -> None:
        self.begun[event.task_id] = 0
        if self.real and event.where is not None:
            note(f"task:{event.task}", "enqueued")
            note(f"task:{event.task}", "enqueued_at", f"{event.where.path}:{event.where.line}")

    def body_started(self, event: Any) -> None:
        self.begun[event.task_id] += 1
        if self.begun[event.task_id] == 2:
            note(f"task:{event.task}", "twice")
        if self.real:
            note(f"task:{event.task}", "real")

    def body_ended(self, event: Any) -> None:
        if self.real:
            what = {"SUCCESS": "succeeded", "FAILURE": "failed", "RETRY": "retried"}.get(event.state)
            if what is not None:
                note(f"task:{event.task}", what)

    def state_set(self, event: Any) -> None:
        if event.state == "REVOKED":
            note(f"task:{event.task}", "expired" if event.reason == "expired" else "revoked")
        elif event.state == "FAILURE":
            note(f"task:{event.task}", "failed")

    def rejected(self, event: Any) -> None:
        note(f"task:{event.task}", "rejected")

    def child_lost(self, event: Any) -> None:
        note(f"task:{event.task}", "killed")

    def worker_killed(self, event: Any) -> None:
        task = getattr(self.by_id.get(event.cause), "task", "")
        if task:
            note(f"task:{task}", "killed")

    # --------------------------------------------------------------- messages

    def group_send(self, event: Any) -> None:
        kind = _type(event)
        note(f"group:{event.group}", "sent", kind)
        note(f"message:{kind}", "sent")

    def sent(self, event: Any) -> None:
        note(f"message:{_type(event)}", "sent")

    def delivered(self, event: Any) -> None:
        kind, send = _type(event), self.by_id.get(event.cause)
        while send is not None and type(send).__name__ not in ("GroupSend", "Sent"):  # a copy may have been on its way
            send = self.by_id.get(send.cause) if send.cause is not None else None
        group = getattr(send, "group", "")
        if group:
            note(f"group:{group}", "delivered", kind)
        if event.consumer:
            note(f"message:{kind}", "handled")

    def lost(self, event: Any) -> None:
        if event.group:
            note(f"group:{event.group}", "lost", event.reason)
        note(f"message:{_type(event)}", "lost", event.reason)


def _type(event: Any) -> str:
    message = event.message
    return str(message.get("type", "")) if hasattr(message, "get") else ""


_TASKS, _LAYER = "pytest_backchannel.tasks.records", "pytest_backchannel.channels.layer.records"
_READERS: dict[tuple[str, str], Callable[[_Reader, Any], None]] = {
    (_TASKS, "Enqueued"): _Reader.enqueued,
    (_TASKS, "BodyStarted"): _Reader.body_started,
    (_TASKS, "BodyEnded"): _Reader.body_ended,
    (_TASKS, "StateSet"): _Reader.state_set,
    (_TASKS, "Rejected"): _Reader.rejected,
    (_TASKS, "ChildLost"): _Reader.child_lost,
    (_TASKS, "WorkerKilled"): _Reader.worker_killed,
    (_LAYER, "GroupSend"): _Reader.group_send,
    (_LAYER, "Sent"): _Reader.sent,
    (_LAYER, "Delivered"): _Reader.delivered,
    (_LAYER, "Lost"): _Reader.lost,
}
