"""Rows of django-celery-beat that are saved while a test runs: the messages that beat would send for them."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("django_celery_beat")

from pytest_backchannel.questions.contract.contents import TaskSend
from pytest_backchannel.questions.contract.sends_noted import stored_entries
from pytest_backchannel.questions.contract.sends_noted.noted import noted


def row(**values):
    plain = {"task": "t", "args": "[]", "kwargs": "{}", "queue": None, "enabled": True}
    return SimpleNamespace(**{**plain, "expires": None, "expire_seconds": None, **values})


def saved(*rows, is_test=lambda path: False, **more):
    with noted(is_test) as found:
        for one in rows:
            stored_entries._saved(None, one, **more)
    return found.tasks


def test_a_row_is_a_message():
    one = row(args='[1, "x"]', kwargs='{"b": 1, "a": 2}', queue="slow", expire_seconds=30)
    assert saved(one) == {TaskSend(task="t", args=2, kwargs=("a", "b"), queue="slow", headers=("expires",))}


def test_what_is_none():
    assert saved(row(enabled=False), row(task="celery.backend_cleanup"), row(args="no JSON"), row(args="1")) == set()
    assert saved(row(), raw=True) == set()
    assert saved(row(), is_test=lambda path: path == __file__) == set()


def test_the_fields_of_a_row():
    names = "task", "args", "kwargs", "queue", "enabled", "expires", "expire_seconds"
    script = f"""
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_beat"])
django.setup()
from pytest_backchannel.questions.contract.sends_noted import stored_entries
from django_celery_beat.models import PeriodicTask
assert stored_entries._model() is PeriodicTask
assert {{field.name for field in PeriodicTask._meta.fields}} >= {set(names)!r}
stored_entries.install()
from django.db.models.signals import post_save
assert post_save.has_listeners(PeriodicTask)
before = len(post_save.receivers)
stored_entries.remove()
assert len(post_save.receivers) == before - 1
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
