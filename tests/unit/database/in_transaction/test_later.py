"""What is said of a task that was enqueued inside a transaction: a fix that this very task has."""

from __future__ import annotations

from celery import Celery
from celery.contrib.django.task import DjangoTask

from pytest_backchannel.database.in_transaction.enqueues import _later


def test_delay_on_commit_is_named_where_the_task_has_it():
    plain = Celery("plain", set_as_current=False)
    django = Celery("django", set_as_current=False, task_cls=DjangoTask)

    def work():
        pass

    assert "delay_on_commit" not in _later(plain.task(work, name="later.plain", shared=False))
    assert "delay_on_commit" in _later(django.task(work, name="later.django", shared=False))
