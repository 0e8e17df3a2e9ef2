"""Runs the project's scheduler from one due moment to the next."""

from __future__ import annotations

import math
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import celery
from celery import beat
from kombu.utils.imports import symbol_by_name

from ...clock.virtual import VirtualClock
from ...events import EventLog
from .repeated import tell_bunched
from .stored import jumping, watched_changes

# The default of Celery's setting beat_scheduler; it keeps its schedule in a file.
PERSISTENT = "celery.beat:PersistentScheduler"
# Less than this can't be told apart by a datetime.
MICROSECOND = 0.000001


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
    with ExitStack() as stack:
        scheduler = _scheduler(app, stack)
        app.loader.import_default_modules()  # as a worker does: nothing else may have imported the tasks yet
        for entry in scheduler.schedule.values():
            if entry.task not in app.tasks:
                log.problem(
                    "unknown_task",
                    f"the beat entry {entry.name!r} names the task {entry.task!r}, which no worker knows.\n"
                    "Fix the name in CELERY_BEAT_SCHEDULE, or in the scheduler's table, or import the task's module.",
                )
        _pass_time(scheduler, clock, end)
        tell_bunched(scheduler.schedule.values(), scheduler.fired, log)
        scheduler.finish()


def _pass_time(scheduler: Any, clock: VirtualClock, end: float) -> None:
    idle = 0
    while True:
        sent = scheduler.sent
        delay = scheduler.tick()
        idle = 0 if scheduler.sent > sent else idle + 1
        # With nothing sent, and no wait either, another entry is the next; but each of them only once at a moment.
        if delay <= 0 and idle <= scheduler.size:
            continue
        delay = max(delay, MICROSECOND)
        if time.time() + delay > end:
            break
        clock.shift(delay)
        idle = 0
    if end > time.time():
        clock.shift(end - time.time())


# --- private API: celery.beat.Scheduler, seen on celery 5.5–5.7: the class is made to be subclassed; its heap, and the
# --- methods with an underscore, are not named in Celery's documentation.


def _scheduler(app: Any, stack: ExitStack) -> Any:
    name = app.conf.beat_scheduler
    base: Any = beat.Scheduler if name == PERSISTENT else symbol_by_name(name)
    stored = jumping(base)
    parts = (*stored, _Strict, base)
    scheduler = type("SteppedScheduler", parts, {"fired": Counter()})(app=app)
    # django-celery-beat's would be kept until the process ends, and then write to the database of the test.
    finalizer = getattr(scheduler, "_finalize", None)
    if finalizer is not None:
        stack.callback(finalizer.cancel)
    if stored or (base is beat.Scheduler and celery.VERSION >= (5, 7)):
        # Nothing but a due entry is to be looked for. Another scheduler may have reasons of its own to look again, and
        # Celery before 5.7 finds out only by asking that the clocks have changed.
        scheduler.max_interval = math.inf
    if stored:
        stack.enter_context(watched_changes(scheduler))
    return scheduler


class _Strict:
    """A scheduler that keeps time exactly, and does not keep its errors to its log."""

    sent = 0
    fired: Counter[str]

    def adjust(self, n: float, drift: float = 0.0) -> float:
        """How long to wait: Celery's own takes off 10 ms, and then says 0 without anything being due (celery 5.7)."""
        return n

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Enqueue what one entry says; Celery's own only logs what goes wrong."""
        self.apply_async(entry, producer=producer, advance=False)  # type: ignore[attr-defined]
        self.sent += 1
        self.fired[entry.name] += 1

    @property
    def size(self) -> int:
        """How many entries it looks at."""
        return len(self._heap or ())  # type: ignore[attr-defined]

    def finish(self) -> None:
        """End, as ``celery beat`` does: what is kept of the entries is written."""
        self.close()  # type: ignore[attr-defined]

    def _when(self, *args: Any, **kwargs: Any) -> float:
        # Sums of floats: to the microsecond, as the clock is, so that an entry is due when its moment has come.
        return round(super()._when(*args, **kwargs), 6)  # type: ignore[misc]

    def _is_due_failed(self, entry: Any) -> Any:
        raise  # noqa: PLE0704 - Celery 5.7 calls it where an entry's is_due() has raised, and goes on


# --- end of private API


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
