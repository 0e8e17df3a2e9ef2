"""What beat leads to twice: the same task, with the same arguments, while the first one is still on its way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from celery.schedules import crontab

from ...events import EventLog
from ..expect.messages import EnqueuedTask, call_text

SLUG = "repeated_enqueue"
FIX = (
    "Both will run. Fix: let the code see that one is on its way, and enqueue no other; or let the first one expire "
    "(expires=) before the second is due."
)


def tell_repeated(task: EnqueuedTask, waiting: Iterable[EnqueuedTask], same_fire: set[str], log: EventLog) -> bool:
    """Tell of a message, published under beat, whose twin is on its way and can't have begun; whether there is one.

    What waits only because the test has not stepped the queue is no news: in production a worker would have had it.

    Args:
        task: what was published.
        waiting: what waits.
        same_fire: the ids of what the same firing of a beat entry has led to.
        log: takes the problem.
    """
    if task.group_id is not None:
        return False
    call = call_text(task.name, task.args, task.kwargs)
    for other in waiting:
        if other.id == task.id or (other.name, other.args, other.kwargs) != (task.name, task.args, task.kwargs):
            continue
        left = 0.0 if other.eta is None else other.eta.timestamp() - time.time()
        if left <= 0 and other.id not in same_fire:
            continue
        what = f"its retry {other.retries}" if other.retries else "its eta"
        first = f"waits for {what} in {left:.0f} s" if left > 0 else "waits"
        log.problem(
            SLUG,
            f"{call} was enqueued under beat while the same call {first}"
            f"{f' (enqueued at {other.where})' if other.where else ''}.\n{FIX}",
            where=task.where,
            cause=task.event,
        )
        return True
    return False


def tell_bunched(entries: Iterable[Any], fired: Counter[str], log: EventLog) -> None:
    """Tell of a beat entry that is due in each minute of one hour, and in no other: its minute was forgotten.

    Args:
        entries: of the schedule, with ``name`` and ``schedule``.
        fired: how often each was due.
        log: takes the problems.
    """
    for entry in entries:
        schedule = entry.schedule
        if not isinstance(schedule, crontab) or fired[entry.name] < 2:
            continue
        if len(schedule.minute) == 60 and len(schedule.hour) == 1:
            (hour,) = schedule.hour
            log.problem(
                SLUG,
                f"the beat entry {entry.name!r} was enqueued {fired[entry.name]} times, once a minute from {hour}:00 "
                f"on: its schedule names the hour and not the minute, and crontab's minute is each by default.\nFix: "
                f"crontab(minute=0, hour={hour}). If each minute is meant, allow_lost({SLUG!r}) in this test.",
            )
