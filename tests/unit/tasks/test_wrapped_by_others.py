"""What a library wraps around Celery's methods while a double is in place stays there, and works in it and after it."""

from __future__ import annotations

import functools

import pytest
import stepped_tasks as t
from celery import Celery, chain
from celery.app.task import Task
from kombu import Connection

from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.eager import EagerMode
from pytest_backchannel.tasks.queue import TaskQueue

PLACES = [(Task, "apply"), (Task, "apply_async"), (Celery, "send_task"), (Connection, "_establish_connection")]


@pytest.fixture(autouse=True)
def fresh():
    begin_log()


@pytest.fixture(params=["named", "nameless"])
def wrapped(request, monkeypatch):
    """Called while a double is in place: wraps what a library might, and gives the list of what was called."""

    def wrap(*places):
        calls = []
        for owner, name in places or PLACES:
            monkeypatch.setattr(owner, name, watching(vars(owner)[name], name, calls, request.param))
        return calls

    return wrap


def watching(function, name, calls, kind):
    def theirs(*args, **kwargs):
        calls.append(name)
        return function(*args, **kwargs)

    return functools.wraps(function)(theirs) if kind == "named" else theirs


@t.app.task(name="pairs")
def pairs():
    return (1, 2)


@t.app.task(name="kind_of")
def kind_of(value):
    return type(value).__name__


def test_in_eager_mode(wrapped):
    with EagerMode():
        calls = wrapped()
        places = [vars(owner)[name] for owner, name in PLACES]
        assert t.add.delay(1, 2).get() == 3
        assert calls == ["apply_async", "apply"]
        # What a step of a canvas gets has been carried, as a worker gets it.
        assert chain(pairs.s(), kind_of.s()).apply_async().get() == "list"
        assert t.app.send_task(t.add.name, (1, 2)).get() == 3
    assert [vars(owner)[name] for owner, name in PLACES] == places
    calls.clear()
    with EagerMode() as eager:
        assert t.add.delay(1, 2).get() == 3
        assert calls == ["apply_async", "apply"]
    assert eager
    assert [vars(owner)[name] for owner, name in PLACES] == places


def test_a_task_that_runs_eagerly_is_recorded_once_after_a_wrapper_has_stayed(wrapped):
    with EagerMode():
        wrapped((Task, "apply"))
    log = begin_log()
    with EagerMode():
        t.add.delay(1, 2)
    assert [type(event).__name__ for event in log.events] == ["CalledEagerly", "EndedEagerly"]


def test_with_a_queue(wrapped):
    with TaskQueue(t.app) as queue:
        calls = wrapped()
        places = [vars(owner)[name] for owner, name in PLACES]
        result = t.add.delay(1, 2)
        queue.run_one()
        assert result.get() == 3
        assert "apply_async" in calls
    assert [vars(owner)[name] for owner, name in PLACES] == places
