"""Messages that Celery really published, read back."""

from __future__ import annotations

import enum
import time
from datetime import UTC, datetime, timedelta

import pytest
from celery import chain, chord, group
from kombu.transport import virtual
from recorded_messages import published, recording_app, sent

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import Location
from pytest_backchannel.tasks.expect.messages import EnqueuedTask, decode


@pytest.fixture
def app():
    app = recording_app("messages")

    @app.task(name="add", shared=False)
    def add(x, y=2):
        return x + y

    yield app
    app.close()


def test_a_plain_call(app):
    result = app.tasks["add"].delay(1, y=3)
    (task,) = sent(app)
    assert (task.name, task.args, task.kwargs, task.queue, task.id) == ("add", (1,), {"y": 3}, "celery", result.id)
    assert (task.eta, task.countdown, task.expires, task.expires_in, task.retries) == (None, None, None, None, 0)
    assert (task.root_id, task.parent_id, task.group_id, task.chain, task.chord) == (result.id, None, None, (), None)
    assert task.routing_key == "celery"
    assert task.headers["lang"] == "py"
    assert task.unreadable is None


def test_the_options_that_a_call_sets(app):
    app.tasks["add"].apply_async((1,), countdown=60, expires=90, priority=7, queue="slow", retries=2)
    (task,) = sent(app)
    assert task.eta is not None
    assert task.expires is not None
    assert task.eta.tzinfo is not None
    assert (task.countdown, task.expires_in, task.virtual) == (60, 90, False)
    assert (task.priority, task.queue, task.retries) == (7, "slow", 2)


def test_in_virtual_time_seconds_are_exact(app):
    with VirtualClock():
        app.tasks["add"].apply_async((1,), countdown=59.9, expires=0.25)
        (task,) = sent(app)
        assert (task.countdown, task.expires_in, task.virtual) == (59.9, 0.25, True)


def test_seconds_of_a_message_from_before_the_clock_are_rounded_up(app):
    app.tasks["add"].apply_async((1,), countdown=10)
    at = time.time()
    with VirtualClock():
        task = decode(published[0][1], at=at)
        assert (task.countdown, task.virtual) == (10, False)


def test_countdown_is_counted_from_the_moment_of_publishing(app):
    eta = datetime(2030, 1, 1, 0, 0, 30, tzinfo=UTC)
    app.tasks["add"].apply_async((1,), eta=eta)
    at = (eta - timedelta(seconds=30)).timestamp()
    task = decode(published[0][1], at=at)
    assert (task.eta, task.countdown, task.enqueued_at) == (eta, 30, at)


def test_a_naive_eta_is_utc_as_a_worker_takes_it(app):
    app.conf.update(enable_utc=False, timezone="Europe/Berlin")
    app.tasks["add"].apply_async((1,), eta=datetime(2030, 6, 1, 12))
    (task,) = sent(app)
    assert task.eta is not None
    assert (task.eta.hour, task.eta) == (14, datetime(2030, 6, 1, 12, tzinfo=UTC))


def test_protocol_1(app):
    app.conf.task_protocol = 1
    app.tasks["add"].apply_async((1,), {"y": 5}, countdown=5)
    (task,) = sent(app)
    assert (task.name, task.args, task.kwargs) == ("add", (1,), {"y": 5})
    assert task.countdown == 5


def test_a_compressed_body(app):
    app.tasks["add"].apply_async(("x" * 100,), compression="zlib")
    assert sent(app)[0].args == ("x" * 100,)


def test_a_pickled_body_is_read_whatever_the_project_accepts(app):
    app.tasks["add"].apply_async(({1, 2},), serializer="pickle")
    assert sent(app)[0].args == ({1, 2},)


def test_chain_group_chord_and_links(app):
    add = app.tasks["add"]
    chain(add.s(1), add.s(2), add.s(3)).apply_async()
    (first,) = sent(app)
    assert [step["args"] for step in first.chain] == [[2], [3]]
    published.clear()
    group(add.s(1), add.s(2)).apply_async()
    one, two = sent(app)
    assert one.group_id == two.group_id is not None
    assert [one.group_index, two.group_index] == [0, 1]
    published.clear()
    chord([add.s(1), add.s(2)], add.s(9)).apply_async()
    assert [task.chord["args"] for task in sent(app)] == [[9], [9]]
    published.clear()
    add.apply_async((1,), link=add.s(4), link_error=add.s(5))
    (task,) = sent(app)
    assert [task.callbacks[0]["args"], task.errbacks[0]["args"]] == [[4], [5]]


def test_a_body_that_nobody_can_read_is_told_not_raised(app):
    app.tasks["add"].delay(1)
    message = dict(published[0][1], body="bm90IGpzb24=")
    task = decode(message, queue="celery")
    assert (task.name, task.args) == ("add", ())
    assert task.unreadable is not None
    assert "unreadable: DecodeError" in repr(task)


def test_a_message_that_is_no_task(app):
    with app.producer_or_acquire() as producer:
        producer.publish({"hello": 1}, routing_key="celery", declare=[app.amqp.queues["celery"]])
    (task,) = sent(app)
    assert (task.name, task.unreadable) == ("?", "KeyError: 'args'")


def test_a_kombu_message_reads_the_same(app):
    app.tasks["add"].delay(1, y=3)
    with app.connection_for_write() as connection:
        message = virtual.Message(published[0][1], channel=connection.default_channel)
        task = decode(message, queue="celery")
    assert (task.name, task.args, task.kwargs) == ("add", (1,), {"y": 3})


def test_repr_is_short_and_says_where(app):
    class Colour(enum.Enum):
        RED = 1

    task = EnqueuedTask(
        name="add",
        args=("x" * 1000, Colour.RED),
        kwargs={"y": 2},
        queue="slow",
        enqueued_at=0.0,
        eta=datetime.fromtimestamp(10, tz=UTC),
        retries=1,
        where=Location("/shop/views.py", 12, "confirm"),
    )
    text = repr(task)
    assert text.startswith("<EnqueuedTask add('xxx")
    assert text.endswith("y=2) in 'slow' countdown=10 retry 1 at /shop/views.py:12>")
    assert len(text) < 300
