"""What was called, as one value that a snapshot can keep."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from celery import chain
from recorded_messages import recording_app, sent

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.tasks.expect.messages import EnqueuedTask
from pytest_backchannel.typing import TaskCall


@pytest.fixture
def app():
    app = recording_app("calls")

    @app.task(name="send", shared=False, bind=True)
    def send(self, invoice_id, copies=1, **headers): ...

    @app.task(name="many", shared=False)
    def many(first, *others): ...

    yield app
    app.close()


def call(app):
    (task,) = sent(app)
    return task.call


def test_however_it_was_passed_and_whenever_it_was_sent_it_is_the_same(app):
    send = app.tasks["send"]
    send.delay(7)
    send.apply_async((), {"copies": 1, "invoice_id": 7})
    send.s(7, 1).delay()
    calls = [task.call for task in sent(app)]
    expected = TaskCall(name="send", arguments={"invoice_id": 7, "copies": 1}, queue="celery")
    assert calls == [expected] * 3
    assert {repr(each) for each in calls} == {
        "TaskCall(name='send', arguments={'invoice_id': 7, 'copies': 1}, queue='celery', delay=None)"
    }
    send.delay(8)
    assert sent(app)[-1].call != expected


def test_its_repr_makes_it_again(app):
    app.tasks["send"].apply_async((7,), {"reply_to": ["a"]}, queue="mail", countdown=60)
    found = call(app)
    assert found.delay == 60
    assert found.arguments == {"invoice_id": 7, "copies": 1, "reply_to": ["a"]}
    namespace = {}
    exec(f"from {TaskCall.__module__} import TaskCall", namespace)
    assert eval(repr(found), namespace) == found
    assert set(asdict(found)) == {"name", "arguments", "queue", "delay"}


def test_an_eta_is_a_delay(app):
    with VirtualClock(datetime(2026, 3, 1, tzinfo=UTC)):
        app.tasks["send"].apply_async((7,), eta=datetime(2026, 3, 1, 1, tzinfo=UTC))
        assert call(app).delay == 3600


def test_arguments_without_names(app):
    app.tasks["many"].delay(1, 2, 3)
    app.send_task("elsewhere", (1,), {"y": 2})
    assert [dict(task.call.arguments) for task in sent(app)] == [
        {"first": 1, "others[0]": 2, "others[1]": 3},
        {"args[0]": 1, "y": 2},
    ]
    assert EnqueuedTask(name="send", args=(7,)).call == TaskCall(name="send", arguments={"args[0]": 7})


def test_of_a_chain_it_is_the_step_that_waits(app):
    chain(app.tasks["send"].s(7), app.tasks["many"].s()).delay()
    assert call(app) == TaskCall(name="send", arguments={"invoice_id": 7, "copies": 1}, queue="celery")
