"""What Celery tells of tasks by its signals, outside of their bodies: in whatever worker runs in this process."""

from __future__ import annotations

from typing import Any

from celery import signals
from celery.exceptions import Reject

from ....tasks.handlers import Receivers
from ..facts import note


def _failure(sender: Any = None, exception: Any = None, **_: Any) -> None:
    name = getattr(sender, "name", None)
    if name is not None and not isinstance(exception, Reject):
        note(f"task:{name}", "failed")


def _revoked(sender: Any = None, expired: bool = False, **_: Any) -> None:
    name = getattr(sender, "name", None)
    if name is not None:
        note(f"task:{name}", "expired" if expired else "revoked")


_receivers = Receivers([(signals.task_failure, _failure), (signals.task_revoked, _revoked)])


def install() -> None:
    """Listen from now on."""
    _receivers.connect()


def remove() -> None:
    """Listen no more."""
    _receivers.disconnect()
