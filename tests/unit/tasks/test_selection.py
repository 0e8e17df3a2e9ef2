"""Steps that run some of what waits: `only=` and `queue=`."""

from __future__ import annotations

import asyncio

import pytest
import stepped_tasks as t
from celery import chain

from pytest_backchannel.errors import BadExpectation, NothingToRun
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.fixture(autouse=True)
def fresh():
    t.runs.clear()
    begin_log()


@pytest.fixture
def queue():
    with TaskQueue(t.app) as queue:
        yield queue


@pytest.mark.parametrize(
    "only",
    [t.add, t.add.name, t.add.s(3, 4), t.add.s(x=3, y=4), [t.add.s(3, 4), t.total]],
    ids=["task", "name", "signature", "keywords", "list"],
)
def test_only_some_tasks_run(queue, only):
    t.late.delay(1)
    t.add.delay(3, 4)
    assert queue.run(only=only) == {"SUCCESS": 1}
    assert t.runs == [("add", 3, 4)]
    assert [task.name for task in queue] == [t.late.name]
    assert queue.run() == {"SUCCESS": 1}


def test_a_signature_chooses_by_its_arguments(queue):
    for number in range(3):
        t.add.delay(number, 0)
    assert queue.run_one(only=t.add.s(2, 0)) == {"SUCCESS": 1}
    with pytest.raises(NothingToRun) as failure:
        queue.run_one(only=t.add.s(2, 0))
    assert "nothing is due that fits only=stepped_tasks.add(2, 0). What waits:" in str(failure.value)
    assert "add(0, 0) in 'celery'" in str(failure.value)
    assert ": it does not fit" in str(failure.value)
    assert queue.run() == {"SUCCESS": 2}


def test_only_some_queues_are_served(queue):
    t.add.apply_async((1, 1), queue="slow")
    t.add.apply_async((2, 2), queue="mail")
    t.add.apply_async((3, 3), queue="bulk")
    assert queue.run(queue="mail") == {"SUCCESS": 1}
    assert queue.run(queue=["bulk"], only=t.late) == {}
    assert queue.run(queue=["bulk", "mail"]) == {"SUCCESS": 1}
    assert t.runs == [("add", 2, 2), ("add", 3, 3)]
    assert [task.queue for task in queue] == ["slow"]


def test_what_they_enqueue_waits_unless_it_fits_too(queue):
    t.ping.delay()
    assert queue.run(only=t.ping) == {"SUCCESS": 1}
    assert [task.name for task in queue] == [t.pong.name]
    chain(t.add.s(1, 2), t.add.s(3)).delay()
    assert queue.run(only=t.add) == {"SUCCESS": 2}


def test_a_worker_that_is_full_of_others_still_runs_it(queue):
    t.app.conf.worker_prefetch_multiplier, before = 1, t.app.conf.worker_prefetch_multiplier
    try:
        for number in range(4):
            t.late.delay(number)
        queue.run_one()  # the worker has received the next one too
        t.add.delay(1, 2)
        assert queue.run(only=t.add) == {"SUCCESS": 1}
        assert [task.args for task in queue] == [(1,), (2,), (3,)]
        assert queue.run() == {"SUCCESS": 3}
    finally:
        t.app.conf.worker_prefetch_multiplier = before


def test_what_is_left_alone_is_not_even_delivered(queue):
    t.late.delay(1)
    t.add.delay(1, 2)
    queue.run(only=t.add)
    assert queue.reserved() == []


def test_time_moves_for_what_was_asked_for(queue):
    t.flaky.delay()
    t.add.apply_async((1, 2), countdown=30)
    t.add.apply_async((3, 4), countdown=5000)
    queue.run()
    assert queue.advance(60, only=t.flaky) == {"RETRY": 1}
    assert queue.run_until_idle(only=t.flaky) == {"SUCCESS": 1}
    assert [task.args for task in queue] == [(1, 2), (3, 4)]
    assert queue.run() == {"SUCCESS": 1}
    assert queue.run_until_idle(only=t.late) == {}
    assert queue.run() == {}


def test_the_twins(queue):
    async def steps():
        assert await queue.arun_one(only=t.add) == {"SUCCESS": 1}
        assert await queue.arun(queue="other") == {}
        assert await queue.aadvance(1, only=t.add) == {}
        assert await queue.arun_until_idle(only=t.late) == {"SUCCESS": 1}

    t.late.delay(1)
    t.add.delay(1, 2)
    asyncio.run(steps())


def test_in_random_order():
    with TaskQueue(t.app, order="random", seed=3) as queue:
        for number in range(5):
            t.late.delay(number)
            t.add.delay(number, 0)
        assert queue.run(only=t.add) == {"SUCCESS": 5}
        assert {name for name, *_ in t.runs} == {"add"}
        assert len(queue) == 5


def test_a_failure_is_raised_and_what_is_behind_it_stays(queue):
    t.boom.delay("first")
    t.late.delay(1)
    with pytest.raises(ValueError, match="first"):
        queue.run(only=t.boom)
    assert queue.run(only=t.boom) == {}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"only": "stepped_tasks.ad"}, BadExpectation, "no task is registered as 'stepped_tasks.ad'. Did you mean"),
        ({"only": 7}, BadExpectation, "7 is not an expectation"),
        ({"only": chain(t.add.s(1, 2), t.add.s(3))}, BadExpectation, "is a workflow, and a step runs single tasks"),
        ({"only": t.add.s(1)}, BadExpectation, "can't be called as in"),
        ({"only": []}, ValueError, "is empty"),
        ({"queue": []}, ValueError, "is empty"),
        ({"queue": 7}, TypeError, "give the name of a queue, or a list of names"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_can_choose_nothing_is_refused(queue, arguments, error, text):
    with pytest.raises(error) as raised:
        queue.run(**arguments)
    assert text in str(raised.value)
    with pytest.raises(error):
        queue.run_one(**arguments)


def test_a_queue_object_names_its_queue(queue):
    t.add.apply_async((1, 2), queue="mail")
    assert queue.run(queue=t.app.amqp.queues["mail"]) == {"SUCCESS": 1}
