"""A schedule in the database, django-celery-beat's: from one due moment to the next, and not by asking all the time.

Its scheduler looks whether the schedule has changed every five seconds, and reads all of it every five minutes. Of the
crontab entries it reads only those whose hour is near. So what it enqueues at a moment depends on the entries, and on
which of them it would have read by then; here all are read, and whether it would have been is asked when one is due.
"""

from __future__ import annotations

import copy
import heapq
import math
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

# What is read changes with the hour. In every time zone of today an hour begins at a quarter of an hour of UTC.
QUARTER = 900
# How often the real scheduler reads all of the schedule.
READ_EVERY = 300
# As far as a time zone is asked.
YEARS = 10 * 365 * 86400


def jumping(base: Any) -> tuple[type, ...]:
    """What makes a scheduler's class jump; nothing, where it is not django-celery-beat's."""
    schedulers: Any = sys.modules.get("django_celery_beat.schedulers")
    if schedulers is None or not issubclass(base, schedulers.DatabaseScheduler):
        return ()
    return (_Jumping, _Noticing) if hasattr(base, "_last_full_sync") else (_Noticing,)


@contextmanager
def watched_changes(scheduler: Any) -> Generator[None]:
    """Tell a scheduler at once of each change to the schedule.

    It compares the moment of the last change with the one that it has seen, and in virtual time a second change may be
    at the same moment.
    """
    from django.db.models import signals

    def changed(**kwargs: Any) -> None:
        scheduler.touched = True

    kinds = (signals.post_save, signals.post_delete)
    for signal in kinds:
        signal.connect(changed, sender=scheduler.Changes, weak=False)
    try:
        yield
    finally:
        for signal in kinds:
            signal.disconnect(changed, sender=scheduler.Changes)


# --- private API: django_celery_beat.schedulers.DatabaseScheduler, seen on 2.8.0 and 2.9.0: its classes Model and
# --- Changes, schedule_changed(), all_as_schedule(), and _last_full_sync (not in 2.8.0, which reads again only when
# --- something has changed), which says when the schedule was last read; and tick() with its heap, of celery 5.5–5.7.
# --- tests/plugin/tasks/test_stored_schedule.py compares with it.


class _Noticing:
    touched = False

    def schedule_changed(self) -> bool:
        """Whether to read the schedule anew."""
        changed = bool(super().schedule_changed())  # type: ignore[misc]
        touched, self.touched = self.touched, False
        return changed or touched

    def finish(self) -> None:
        """Write what is kept of the entries, and look at each once more.

        The real one does that within five minutes: it disables entries that have run their one time, or have expired.
        """
        self.touched = True
        self.populate_heap()  # type: ignore[attr-defined]
        super().finish()  # type: ignore[misc]


class _Jumping:
    # Of the class that it is put in front of.
    _heap: list[Any] | None
    _when: Callable[..., float]
    populate_heap: Callable[[], None]
    schedules_equal: Callable[..., bool]
    schedule: Any
    old_schedulers: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._read: dict[tuple[int, int], set[str]] = {}
        self._zones: set[Any] = set()
        self._offsets: list[Any] = []
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round, in which the schedule is read anew only where it has changed.

        As Celery 5.7 does it: before, the first entry alone was asked, whether its moment had come or not, and one that
        was not due after all kept the others from their turn until the real scheduler read the schedule again.
        """
        now = time.time()
        # Celery before 5.7 comes to another moment when the clocks have changed; the real scheduler asks anew by then.
        changed = self._offsets_at(now) != self._offsets
        self._last_full_sync = datetime.min if changed else datetime.now()
        if self._heap is None or not self.schedules_equal(self.old_schedulers, self.schedule):
            self.old_schedulers = copy.copy(self.schedule)
            self.populate_heap()
            self._zones = {getattr(entry.schedule, "tz", None) or UTC for entry in self.old_schedulers.values()}
            self._offsets = self._offsets_at(now)
        wait = self._until_the_first()
        if wait > 0:
            same = self._offsets_at(now + min(wait, YEARS)) == self._offsets
            return wait if same else min(wait, QUARTER - now % QUARTER)
        delay = float(super().tick(*args, **kwargs))  # type: ignore[misc]
        heap = self._heap
        if heap and delay > 0 and self._until_the_first() <= 0:
            first = heap[0]
            heapq.heapreplace(heap, first._replace(time=self._when(first.entry, delay)))
            return 0.0
        return delay

    def _offsets_at(self, moment: float) -> list[Any]:
        return [datetime.fromtimestamp(moment, zone).utcoffset() for zone in self._zones]

    def _until_the_first(self) -> float:
        return self._heap[0].time - self._when(self._heap[0].entry, 0) if self._heap else math.inf

    def all_as_schedule(self) -> dict[str, Any]:
        """Every entry that is enabled."""
        self._read.clear()
        entries = {}
        for model in self.Model.objects.enabled():  # type: ignore[attr-defined]
            try:
                entries[model.name] = self.Entry(model, app=self.app)  # type: ignore[attr-defined]
            except ValueError:  # as the real one does
                continue
        return entries

    def is_due(self, entry: Any) -> Any:
        """Whether an entry is due, and the real scheduler would have read it; else, when to ask again."""
        if entry.model.clocked_id is not None:
            if entry.name not in super().all_as_schedule():  # type: ignore[misc]
                return False, READ_EVERY - time.time() % READ_EVERY
        elif entry.name not in self._read_by_now():
            return False, QUARTER - time.time() % QUARTER
        return super().is_due(entry)  # type: ignore[misc]

    def _read_by_now(self) -> set[str]:
        # By the hour of UTC and that of the project: 2.9.0 takes one or the other, by USE_TZ.
        from django.utils import timezone

        now = datetime.now(UTC)
        hours = now.hour, now.astimezone(timezone.get_default_timezone()).hour
        if hours not in self._read:
            self._read[hours] = set(super().all_as_schedule())  # type: ignore[misc]
        return self._read[hours]


# --- end of private API
