"""What ``celery beat`` would enqueue, in virtual time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from celery import beat
from kombu.utils.imports import symbol_by_name

from ..clock.virtual import VirtualClock
from ..events import EventLog

# The default of Celery's setting beat_scheduler; it keeps its schedule in a file.
PERSISTENT = "celery.beat:PersistentScheduler"


def run_beat(app: Any, clock: VirtualClock, until: datetime | timedelta | float, log: EventLog) -> None:
    """Run the project's scheduler from now to a moment.

    The scheduler is the class of ``beat_scheduler`` (that of django-celery-beat, say), or the one that Celery's
    default is made of, without its file.

    Args:
        app: the Celery app.
        clock: the clock to move.
        until: seconds or a timedelta from now, or a timezone-aware moment.
        log: where an entry that names no known task is reported.

    Raises:
        ValueError: the moment has passed, or has no time zone.
        celery.beat.SchedulingError: an entry can't be enqueued.
    """
    end = _end(until)
    name = app.conf.beat_scheduler
    base: Any = beat.Scheduler if name == PERSISTENT else symbol_by_name(name)
    kind: Any = type("SteppedScheduler", (_Strict, base), {})
    scheduler = kind(app=app)
    app.loader.import_default_modules()  # as a worker does: nothing else may have imported the tasks yet
    for entry in scheduler.schedule.values():
        if entry.task not in app.tasks:
            log.problem(
                "unknown_task",
                f"the beat entry {entry.name!r} names the task {entry.task!r}, which no worker knows.\n"
                "Fix the name in CELERY_BEAT_SCHEDULE, or import the module that defines the task.",
            )
    while True:
        sent = scheduler.sent
        delay = scheduler.tick()
        if delay <= 0 and scheduler.sent > sent:
            continue
        # Where nothing was due the scheduler is to ask again later, by what the clock of a datetime can tell apart.
        delay = max(delay, 0.000001)
        if time.time() + delay > end:
            break
        clock.shift(delay)
    if end > time.time():
        clock.shift(end - time.time())


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
            left = entry.schedule.remaining_estimate(app.now())
            # To the second: the real time goes on between the two looks at it.
            moment = (app.now() + left + timedelta(seconds=0.5)).astimezone(app.timezone)
        except Exception:  # an entry that beat itself would refuse is not what the failure is about
            continue
        said.append(
            f"The beat entry {name!r} ({entry.schedule}) enqueues it next at {moment:%Y-%m-%d %H:%M:%S} "
            f"{app.timezone}; task_queue.beat(...) goes there."
        )
    return said


class _Strict:
    """A scheduler that keeps time exactly, and does not keep its errors to its log."""

    def adjust(self, n: float, drift: float = 0.0) -> float:
        """How long to wait: Celery's own takes off 10 ms, and then says 0 without anything being due (celery 5.7)."""
        return n

    sent = 0

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Enqueue what one entry says; Celery's own only logs what goes wrong."""
        self.apply_async(entry, producer=producer, advance=False)  # type: ignore[attr-defined]
        self.sent += 1


def _end(until: datetime | timedelta | float) -> float:
    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise ValueError(f"beat(until={until!r}): the moment has no time zone; give it one, such as tzinfo=UTC")
        end = until.timestamp()
    elif isinstance(until, timedelta):
        end = time.time() + until.total_seconds()
    else:
        end = time.time() + float(until)
    if end < time.time():
        raise ValueError(f"beat(until={until!r}): the moment has passed")
    return end
