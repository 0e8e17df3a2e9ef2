"""Beat entries that stand in a database: rows of django-celery-beat that the project's code saves."""

from __future__ import annotations

import json
import sys
from typing import Any

from ..contents import TaskSend
from .noted import noting
from .sent_tasks import sent_by_a_test

_UID = "pytest-backchannel: entries for the contract"


def install() -> None:
    """Watch from now on; Django is set up."""
    model = _model()
    if model is not None:
        from django.db.models.signals import post_save

        post_save.connect(_saved, sender=model, dispatch_uid=_UID)


def remove() -> None:
    """Watch no more."""
    model = _model()
    if model is not None:
        from django.db.models.signals import post_save

        post_save.disconnect(sender=model, dispatch_uid=_UID)


# --- private API: the fields of django_celery_beat.models.PeriodicTask, seen on 2.8.0 and 2.9.0. A test of
# --- tests/unit/questions/test_stored_entries.py fails where they are others; then nothing is noted.


def _model() -> Any:
    from django.apps import apps

    return apps.get_model("django_celery_beat", "PeriodicTask") if apps.is_installed("django_celery_beat") else None


def _saved(sender: Any, instance: Any, raw: bool = False, **more: Any) -> None:
    found = noting()
    # Fixtures are data of the tests, and so is what a test saves.
    if found is None or raw or sent_by_a_test(sys._getframe(1), also=("django", "django_celery_beat")):
        return
    try:
        args, kwargs = json.loads(instance.args or "[]"), json.loads(instance.kwargs or "{}")
        if instance.enabled and not str(instance.task).startswith("celery."):
            # Not by the name of the row, which may be made of a value.
            found.tasks.add(
                TaskSend(
                    task=str(instance.task),
                    args=len(args),
                    kwargs=tuple(sorted(map(str, kwargs))),
                    queue=str(instance.queue or ""),
                    headers=("expires",) if instance.expires or instance.expire_seconds else (),
                    run=True,
                )
            )
    except (AttributeError, TypeError, ValueError):
        return  # no JSON, which beat could not read either


# --- end of private API
