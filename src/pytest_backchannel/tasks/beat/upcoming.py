"""When beat is to enqueue a task next, for a failure that is about it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery import beat


def due(app: Any, task: str) -> list[str]:
    """When the beat entries that enqueue a task are due next, each in a sentence with its time zone.

    Args:
        app: the Celery app, whose setting ``beat_schedule`` has them.
        task: the task's name.
    """
    said = []
    for name, values in (app.conf.beat_schedule or {}).items():
        if not isinstance(values, Mapping) or values.get("task") != task:
            continue
        try:
            entry = beat.ScheduleEntry(name=name, app=app, **{**values, "last_run_at": app.now()})
            moment = _next(entry.schedule, app.now()).astimezone(app.timezone)
        except Exception:  # an entry that beat itself would refuse is not what the failure is about
            continue
        said.append(
            f"The beat entry {name!r} ({entry.schedule}) enqueues it next at {moment:%Y-%m-%d %H:%M:%S} "
            f"{app.timezone}; task_queue.beat(...) goes there."
        )
    return said


def _next(schedule: Any, now: datetime) -> datetime:
    # The real time goes on between two looks at it: a copy looks at it no more.
    stopped = copy.copy(schedule)
    stopped.nowfun = lambda: now
    return now + stopped.remaining_estimate(now)
