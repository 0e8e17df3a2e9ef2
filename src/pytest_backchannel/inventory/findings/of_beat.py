"""What the beat schedule would do."""

from __future__ import annotations

from collections.abc import Iterator

from ..celery_inventory import CeleryInventory
from .finding import Finding, of_celery

RARE, EARLY = 3600.0, 60.0
"""An entry is rare that has this time between two runs, and expires early in less than that one; in seconds."""


@of_celery
def beat_unknown_task(celery: CeleryInventory) -> Iterator[Finding]:
    """A worker throws its messages away."""
    if celery.unknown:
        return
    # The task of another project's workers is none of ours.
    packages = {name.partition(".")[0] for name in (*celery.modules, *celery.tasks)}
    for entry in celery.beat.values():
        package, dot, _ = entry.task.partition(".")
        if entry.task not in celery.tasks and (not dot or package in packages):
            yield Finding(
                name="beat_unknown_task",
                text=f"the beat entry {entry.name!r} names {entry.task!r}, and no worker knows such a task: each of "
                "its messages is thrown away. Fix: correct the name, or have a worker import its module.",
            )


@of_celery
def beat_arguments(celery: CeleryInventory) -> Iterator[Finding]:
    """Beat itself raises, and logs it."""
    for entry in celery.beat.values():
        if entry.refused is not None:
            yield Finding(
                name="beat_arguments",
                text=f"the beat entry {entry.name!r} does not fit {entry.task}: {entry.refused}. Beat logs that, and "
                "sends nothing. Fix: its args and kwargs.",
            )


@of_celery
def beat_every_minute(celery: CeleryInventory) -> Iterator[Finding]:
    """``crontab(hour=2)`` leaves the minute at ``*``."""
    for entry in celery.beat.values():
        if entry.every_minute_of is not None:
            yield Finding(
                name="beat_every_minute",
                text=f"the beat entry {entry.name!r} is due in every minute of the hour {entry.every_minute_of}, "
                f"sixty times: {entry.schedule}. Fix: crontab(minute=0, hour={entry.every_minute_of}).",
            )


@of_celery
def beat_expires_early(celery: CeleryInventory) -> Iterator[Finding]:
    """What comes often may be left out once; what comes once a night may not."""
    for entry in celery.beat.values():
        if entry.expires is not None and entry.expires < EARLY and (entry.seconds or 0) >= RARE:
            yield Finding(
                name="beat_expires_early",
                text=f"the message of the beat entry {entry.name!r} expires after {entry.expires:g} s, and the next "
                f"comes {entry.seconds:g} s later: it never runs if each worker is busy for as long. Fix: a longer "
                "expires.",
            )


@of_celery
def beat_pile_up(celery: CeleryInventory) -> Iterator[Finding]:
    """Only where the task has a limit of its own: the one of all tasks says nothing of this one."""
    for entry in celery.beat.values():
        task = celery.tasks.get(entry.task)
        limit = task.options.get("time_limit") if task is not None else None
        if not isinstance(limit, int | float) or limit == celery.settings.get("task_time_limit"):
            continue
        if entry.expires is None and entry.seconds is not None and entry.seconds < limit:
            yield Finding(
                name="beat_pile_up",
                text=f"the beat entry {entry.name!r} comes every {entry.seconds:g} s, its task may run for {limit:g} "
                "s (its time_limit), and its messages never expire: they pile up. Fix: expires in its options, or a "
                "lower limit.",
            )
