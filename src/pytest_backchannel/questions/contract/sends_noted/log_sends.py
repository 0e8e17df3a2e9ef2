"""Messages that stand in the log of a test: those of its layers, and those that worker processes have sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....events import EventLog
from ..contents import LayerSend, TaskSend
from ..from_project import serializer_name
from .many_calls import calls_within
from .noted import Noted


def note_log(log: EventLog, noted: Noted, *, real: bool) -> None:
    """Note what the log says.

    Args:
        log: the log of a test that has ended.
        noted: where to note it.
        real: whether its tasks ran in a worker process of their own.
    """
    for event in log.events:
        # By name, not by class: reading a log imports neither Celery nor Channels.
        name = type(event).__module__, type(event).__name__
        if event.where is not None and noted.is_test(event.where.path):
            continue
        if name in _OF_LAYER:
            _note_message(getattr(event, "message", None), noted)
        elif real and name == _ENQUEUED:
            _note_task(event, noted)


_OF_LAYER = (
    ("pytest_backchannel.channels.layer.records", "GroupSend"),
    ("pytest_backchannel.channels.layer.records", "Sent"),
)
_ENQUEUED = ("pytest_backchannel.tasks.records", "Enqueued")


def _note_message(message: Any, noted: Noted) -> None:
    kind = message.get("type") if isinstance(message, Mapping) else None
    if isinstance(kind, str):
        keys = tuple(sorted(str(key) for key in message if key != "type"))
        noted.messages.add(LayerSend(type=kind, keys=keys, run=True))


def _note_task(event: Any, noted: Noted) -> None:
    try:
        message = event.message
    except Exception:  # of a serialiser that this process does not accept
        return
    calls = [(message.name, len(message.args), tuple(sorted(message.kwargs)))]
    if message.name.startswith("celery."):
        calls = [(name, len(args), ()) for name, args in calls_within(message.name, message.kwargs)]
    headers = tuple(filter(None, ("eta" if message.eta else "", "expires" if message.expires else "")))
    serializer = serializer_name(message.content_type)
    for name, args, kwargs in calls:
        noted.tasks.add(
            TaskSend(
                task=name,
                args=args,
                kwargs=kwargs,
                queue=message.queue,
                serializer=serializer,
                headers=headers,
                run=True,
            )
        )
