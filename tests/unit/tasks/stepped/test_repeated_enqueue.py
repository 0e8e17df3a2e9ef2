"""The verdict on what beat leads to twice, and what looks like it and is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import stepped_tasks as t
from celery import group
from celery.schedules import crontab

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

calls: list = []


def sends():
    for args, options in calls:
        t.add.apply_async(args, **options)


def later(self):
    if not self.request.retries:
        raise self.retry(countdown=600)


def parts():
    group(t.add.s(1, 1) for _ in range(3)).delay()


TASKS = {"sends": sends, "later": later, "parts": parts}


@pytest.fixture
def schedule(monkeypatch):
    """Sets the schedule: entry name to (task, schedule), and options."""
    for name, function in TASKS.items():
        t.app.task(name=f"repeated.{name}", bind=name == "later")(function)

    def set_to(**entries):
        monkeypatch.setitem(
            t.app.conf.changes,
            "beat_schedule",
            {
                name: {"task": f"repeated.{task}" if task in TASKS else task, "schedule": due, "options": options}
                for name, (task, due, options) in entries.items()
            },
        )

    yield set_to
    for name in TASKS:
        t.app.tasks.pop(f"repeated.{name}")


@pytest.fixture
def queue():
    calls.clear()
    begin_log()
    with VirtualClock(datetime(2030, 1, 1, tzinfo=UTC)), TaskQueue(t.app) as queue:
        yield queue


def told(queue):
    return [problem.text for problem in queue.log.take_problems() if problem.slug == "repeated_enqueue"]


# --------------------------------------------------------------------------- told


def test_an_entry_that_is_due_again_while_its_retry_waits(queue, schedule):
    schedule(sync=("later", 300.0, {}))
    queue.beat(310)
    queue.run()
    queue.beat(300)
    (text,) = told(queue)
    assert text.startswith("repeated.later() was enqueued under beat while the same call waits for its retry 1 in ")
    queue.beat(300)
    assert told(queue) == []  # once


def test_an_entry_with_a_delay_longer_than_its_period(queue, schedule):
    schedule(sync=(t.pong.name, 300.0, {"countdown": 1000}))
    queue.beat(700)
    (text,) = told(queue)
    assert "while the same call waits for its eta in 700 s" in text


def test_what_was_to_come_later_is_enqueued_again_by_what_beat_fires(queue, schedule):
    schedule(again=("sends", 300.0, {}))
    calls.append(((1, 2), {}))
    t.add.apply_async((1, 2), countdown=900)
    queue.beat(310)
    queue.run()
    (text,) = told(queue)
    assert text.startswith("stepped_tasks.add(1, 2) was enqueued under beat while the same call waits for its eta in ")
    assert "test_repeated_enqueue.py" in text
    assert "Fix: let the code see that one is on its way" in text


def test_twice_by_one_firing(queue, schedule):
    schedule(again=("sends", 300.0, {}))
    calls.extend([((1, 2), {}), ((1, 2), {})])
    queue.beat(310)
    queue.run()
    (text,) = told(queue)
    assert "add(1, 2) was enqueued under beat while the same call waits (enqueued at" in text


@pytest.mark.parametrize("until", [timedelta(hours=3), timedelta(days=2)])
def test_a_crontab_without_its_minute(queue, schedule, until):
    schedule(nightly=(t.pong.name, crontab(hour=2), {}))
    count = len(queue.beat(until))
    (text,) = told(queue)
    assert text.startswith(f"the beat entry 'nightly' was enqueued {count} times, once a minute from 2:00 on")
    assert "Fix: crontab(minute=0, hour=2)" in text


# ----------------------------------------------------------------- and what is none


@pytest.mark.parametrize(
    "due", [300.0, crontab(), crontab(minute="*/5"), crontab(hour="9-17"), crontab(minute=0, hour=2), crontab(minute=3)]
)
def test_what_waits_because_the_test_has_not_stepped(queue, schedule, due):
    schedule(often=(t.pong.name, due, {}))
    assert queue.beat(timedelta(days=2, minutes=1))
    assert told(queue) == []


def test_what_several_firings_of_one_beat_enqueue(queue, schedule):
    schedule(again=("sends", 300.0, {}))
    calls.append(((1, 2), {}))
    queue.beat(1000)
    queue.run()
    assert len(t.runs) >= 3
    assert told(queue) == []


def test_what_has_been_done_meanwhile(queue, schedule):
    schedule(again=("sends", 300.0, {}), sync=("later", 700.0, {}))
    calls.append(((1, 2), {}))
    for _ in range(6):
        queue.beat(310)
        queue.run_until_idle()
    assert told(queue) == []


def test_other_arguments_and_groups(queue, schedule):
    schedule(again=("sends", 300.0, {}), grouped=("parts", 300.0, {}))
    calls.extend([((1, 2), {}), ((2, 1), {})])
    t.add.apply_async((3, 3), countdown=900)
    queue.beat(310)
    queue.run()
    assert told(queue) == []


def test_without_beat_nothing_is_told(queue, schedule):
    calls.extend([((1, 2), {}), ((1, 2), {"countdown": 60}), ((1, 2), {})])
    t.app.tasks["repeated.sends"].delay()
    t.add.apply_async((1, 2), countdown=900)
    queue.run()
    assert told(queue) == []


def test_a_retry_is_no_second_one(queue, schedule):
    schedule(sync=("later", 5000.0, {}))
    queue.beat(5010)
    queue.run_until_idle()
    assert told(queue) == []
