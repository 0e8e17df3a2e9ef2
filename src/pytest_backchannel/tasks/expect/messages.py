"""A task's message as its producer sent it, read back into one plain record."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from typing import Any

from kombu.compression import decompress
from kombu.serialization import loads

from ...clock.virtual import active_clock
from ...events import Location
from .calls import TaskCall, named_arguments

REPR_WIDTH = 160
# What Celery may need at most, on a busy machine, from the computation of an eta to the publishing, in seconds.
_PUBLISHING = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class EnqueuedTask:
    """A task that waits in a queue.

    Attributes:
        name: the task's name, as it was registered.
        args: the positional arguments, after the serialiser's round trip.
        kwargs: the keyword arguments, after the serialiser's round trip.
        queue: the queue that the message waits in.
        exchange: the exchange that it was published to; empty for the default one.
        routing_key: the routing key that it was published with.
        enqueued_at: when it was published, in seconds since the epoch; virtual where a virtual clock rules.
        virtual: whether time stood still then, so that seconds counted from it are exact.
        eta: the earliest moment to run it, timezone-aware; None where it may run at once.
        countdown: the seconds from ``enqueued_at`` to ``eta``; None where it may run at once. The message has the
            ``eta`` alone: where time did not stand still, a moment has passed between the two, and the number is
            rounded up to the whole second that it is just below.
        expires: the moment from which it must not run any more, timezone-aware; None where it never expires.
        expires_in: the seconds from ``enqueued_at`` to ``expires``; None where it never expires.
        priority: the message's priority; None where the producer set none.
        retries: how many times the task was retried before this message.
        headers: the message's headers, as published.
        properties: the message's properties, as published.
        content_type: how its body was serialised, such as ``application/json``.
        id: the task's id.
        root_id: the id of the task that began the workflow.
        parent_id: the id of the task that sent this one.
        group_id: the id of the group that it belongs to.
        group_index: its place in that group.
        chain: the signatures that follow in its chain, in the order in which they will run.
        chord: the callback of the chord whose header it is part of.
        callbacks: the signatures to call with its result (``link``).
        errbacks: the signatures to call when it fails (``link_error``).
        in_transaction: whether it was published inside an open transaction of the project's, before the commit.
        where: the line of the project's own code that enqueued it.
        event: the number of its event in the log; 0 where it has none.
        unreadable: why the body can't be read; None where it can.
        app: the Celery app; None where it is not known.

    Example:
        >>> task_queue[0]
        <EnqueuedTask billing.tasks.send_invoice_email(7) in 'celery' at billing/views.py:12>
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    exchange: str = ""
    routing_key: str = ""
    enqueued_at: float = 0.0
    virtual: bool = True
    eta: datetime | None = None
    expires: datetime | None = None
    priority: int | None = None
    retries: int = 0
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = ""
    id: str = ""
    root_id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    group_index: int | None = None
    chain: tuple[Mapping[str, Any], ...] = ()
    chord: Mapping[str, Any] | None = None
    callbacks: tuple[Mapping[str, Any], ...] = ()
    errbacks: tuple[Mapping[str, Any], ...] = ()
    in_transaction: bool = False
    where: Location | None = None
    event: int = 0
    unreadable: str | None = None
    app: Any = None

    @property
    def call(self) -> TaskCall:
        """Name, arguments, queue and delay, as one value to compare, to print, or to keep in a snapshot."""
        task = None if self.app is None else self.app.tasks.get(self.name)
        arguments = named_arguments(task, self.args, self.kwargs)
        return TaskCall(name=self.name, arguments=arguments, queue=self.queue, delay=self.countdown)

    @property
    def countdown(self) -> float | None:
        """The seconds from the moment of enqueueing to ``eta``."""
        return None if self.eta is None else self._until(self.eta)

    @property
    def expires_in(self) -> float | None:
        """The seconds from the moment of enqueueing to ``expires``."""
        return None if self.expires is None else self._until(self.expires)

    def _until(self, end: datetime) -> float:
        # Milliseconds are what both a countdown and a float of seconds since the epoch can express.
        seconds = round(end.timestamp() - self.enqueued_at, 3)
        above = math.ceil(seconds)
        return float(above) if not self.virtual and above - seconds < _PUBLISHING else seconds

    def __repr__(self) -> str:
        parts = [f"<EnqueuedTask {call_text(self.name, self.args, self.kwargs)}"]
        if self.unreadable:
            parts.append(f"(unreadable: {self.unreadable})")
        if self.queue is not None:
            parts.append(f"in {self.queue!r}")
        if self.countdown is not None:
            parts.append(f"countdown={self.countdown:g}")
        if self.retries:
            parts.append(f"retry {self.retries}")
        if self.where is not None:
            parts.append(f"at {self.where}")
        return " ".join(parts) + ">"


def call_text(name: str, args: tuple[Any, ...] | list[Any], kwargs: Mapping[str, Any]) -> str:
    """A call as one would write it, such as ``add(1, y=2)``; what is too long is cut in its middle."""
    inside = ", ".join([*map(repr, args), *[f"{key}={value!r}" for key, value in kwargs.items()]])
    return f"{name}({cut(inside)})"


def cut(text: str, width: int = REPR_WIDTH) -> str:
    """``text``, with its middle left out where it is longer than ``width``."""
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def decode(
    message: Any,
    *,
    queue: str | None = None,
    app: Any = None,
    at: float | None = None,
    in_transaction: bool = False,
    where: Location | None = None,
    event: int = 0,
) -> EnqueuedTask:
    """Read one message of a task, of either of Celery's message protocols.

    A body that can't be read does not raise: the record says so in ``unreadable``. The body is read whatever
    ``accept_content`` says, since it comes from this very process; whether a worker accepts it is the worker's part.

    Args:
        message: kombu's raw message (a dict, as a virtual transport keeps it), or a ``kombu.Message``.
        queue: the queue that it waits in.
        app: the Celery app, whose time zone a naive eta is in; UTC where it is None.
        at: when it was published, in seconds since the epoch; now where it is None.
        in_transaction: whether it was published before the commit of an open transaction.
        where: the line that enqueued it.
        event: the number of its event in the log.
    """
    body, content_type, content_encoding, headers, properties = _parts(message)
    info = properties.get("delivery_info") or getattr(message, "delivery_info", None) or {}
    unreadable: str | None = None
    fields: dict[str, Any]
    try:
        if headers.get("compression"):
            body = decompress(body, headers["compression"])
        payload = loads(body, content_type, content_encoding, accept={content_type} if content_type else None)
        fields = _fields(payload, headers)
    except Exception as error:
        unreadable = f"{type(error).__name__}: {error}"
        fields = {"name": str(headers.get("task", "?")), "id": str(headers.get("id", ""))}
    timezone = UTC if app is None else app.timezone
    clock = active_clock()
    at = time() if at is None else at
    return EnqueuedTask(
        queue=queue,
        exchange=info.get("exchange") or "",
        routing_key=info.get("routing_key") or "",
        enqueued_at=at,
        virtual=clock is not None and at >= clock.began,
        eta=_moment(fields.pop("eta", None), timezone),
        expires=_moment(fields.pop("expires", None), timezone),
        priority=properties.get("priority"),
        headers=headers,
        properties=properties,
        content_type=content_type or "",
        in_transaction=in_transaction,
        where=where,
        event=event,
        unreadable=unreadable,
        app=app,
        **fields,
    )


def _parts(message: Any) -> tuple[Any, str, str, dict[str, Any], dict[str, Any]]:
    if not isinstance(message, Mapping):
        return (
            message.body,
            message.content_type,
            message.content_encoding,
            dict(message.headers or {}),
            dict(message.properties or {}),
        )
    properties = dict(message.get("properties") or {})
    body = message.get("body")
    if properties.get("body_encoding") == "base64" and body is not None:
        body = b64decode(body)
    return (
        body,
        message.get("content-type", ""),
        message.get("content-encoding", ""),
        dict(message.get("headers") or {}),
        properties,
    )


def _fields(payload: Any, headers: Mapping[str, Any]) -> dict[str, Any]:
    if "task" in headers:  # protocol 2: https://docs.celeryq.dev/en/stable/internals/protocol.html
        args, kwargs, embed = payload
        source: Mapping[str, Any] = {**headers, **(embed or {})}
    else:  # protocol 1: everything is in the body
        source = payload
        args, kwargs = source["args"], source["kwargs"]
    return {
        "name": source["task"],
        "args": tuple(args),
        "kwargs": dict(kwargs),
        "eta": source.get("eta"),
        "expires": source.get("expires"),
        "retries": source.get("retries") or 0,
        "id": source.get("id") or "",
        "root_id": source.get("root_id"),
        "parent_id": source.get("parent_id"),
        "group_id": source.get("group") or source.get("taskset"),
        "group_index": source.get("group_index"),
        # A chain travels with its next step last, so that each step can pop it.
        "chain": tuple(reversed(source.get("chain") or ())),
        "chord": source.get("chord"),
        "callbacks": tuple(source.get("callbacks") or ()),
        "errbacks": tuple(source.get("errbacks") or ()),
    }


def _moment(value: Any, timezone: Any) -> datetime | None:
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    # A worker takes one without a time zone for UTC, whatever the app's own (celery.worker.request, 5.5 to 5.7).
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC).astimezone(timezone)
