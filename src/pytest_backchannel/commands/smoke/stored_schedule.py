"""The beat entries that are not in the settings: those of django-celery-beat, in the database."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .expected import StoredEntry
from .limits import limited
from .results import Check, Outcome

# These read beat_schedule, and nothing else (celery/beat.py, 5.5–5.7).
_OF_CELERY = ("PersistentScheduler", "Scheduler")


def stored_entries(app: Any, timeout: float) -> Generator[Outcome, None, list[StoredEntry]]:
    """Read the entries that a scheduler other than Celery's keeps, or say that they are not read.

    Args:
        app: the project's Celery app; Django is set up.
        timeout: how long the database may take, in seconds.
    """
    from django.apps import apps

    if apps.is_installed("django_celery_beat"):
        return (yield from _of_the_database(timeout))
    scheduler = str(app.conf.beat_scheduler).replace(":", ".")
    module, _, name = scheduler.rpartition(".")
    if module != "celery.beat" or name not in _OF_CELERY:
        yield Check("beat", scheduler).skipped("it keeps entries of its own, which are not read")
    return []


def _of_the_database(timeout: float) -> Generator[Outcome, None, list[StoredEntry]]:
    check = Check("beat", "django-celery-beat")
    try:
        found = limited(_read, timeout)
    except Exception as error:
        yield check.failed(
            f"its entries can't be read: {type(error).__name__}: {error}",
            "Is the database up and migrated, and can it be reached from here?",
        )
        return []
    yield check.passed(f"{len(found)} enabled {'entry' if len(found) == 1 else 'entries'} in the database")
    return found


def _read() -> list[StoredEntry]:
    """What is enabled (django_celery_beat/models.py, 2.9), on a connection of this thread's own."""
    from django.apps import apps
    from django.db import connections

    options = ("queue", "exchange", "routing_key")
    try:
        # The model by its name: the package need not be installed where this is type-checked.
        rows: Any = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager.filter(enabled=True)
        return [
            StoredEntry(row["name"], row["task"], {name: row[name] for name in options if row[name]})
            for row in rows.order_by("name").values("name", "task", *options)
        ]
    finally:
        connections.close_all()
