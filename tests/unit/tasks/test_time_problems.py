"""Times that do not go together: an eta that Redis does not wait for, and a task that has expired before it ran."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import stepped_tasks as t

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.fixture(autouse=True)
def clock():
    t.runs.clear()
    begin_log()
    with VirtualClock() as clock:
        yield clock


def queue(profile="redis", **options):
    return TaskQueue(t.app, profile=profile, **options)


def problems(queue):
    queue.log.run_checks()
    return [(problem.slug, problem.text, problem.where) for problem in queue.log.take_problems()]


def in_hours(hours):
    return {"eta": datetime.now(UTC) + timedelta(hours=hours)}


@pytest.mark.parametrize(
    ("options", "seconds"),
    [({"countdown": 7200}, "7200 s"), (in_hours(2), "7200 s"), ({"countdown": 3700}, "3700 s")],
    ids=["countdown", "eta", "a little"],
)
def test_an_eta_beyond_the_visibility_timeout(options, seconds):
    with queue() as task_queue:
        if "eta" in options:
            options = in_hours(2)
        for _ in range(2):
            t.add.apply_async((1, 2), **options)
        ((slug, text, where),) = problems(task_queue)
    assert slug == "eta_beyond_visibility"
    assert f"stepped_tasks.add is to run in {seconds}." in text
    assert "after 3600 s (the visibility timeout)" in text
    assert where.path == __file__


def test_a_retry_beyond_it():
    with queue(visibility_timeout=90) as task_queue:
        t.flaky.delay()
        task_queue.run()
        assert problems(task_queue) == []
        task_queue.log.at_end(task_queue._driver._check)
        task_queue.advance(60)
        ((slug, text, _),) = problems(task_queue)
    assert slug == "eta_beyond_visibility"
    assert text.startswith("retry 2 of stepped_tasks.flaky is to run in 120 s.")


@pytest.mark.parametrize(
    ("profile", "options", "timeout"),
    [
        ("rabbitmq", {"countdown": 7200}, None),
        ("redis", {"countdown": 3600}, None),
        ("redis", {"countdown": 60}, None),
        ("redis", {"countdown": 7200}, 86400),
        ("redis", {"expires": 7200}, None),
    ],
    ids=["RabbitMQ", "exactly as long", "short", "a longer timeout", "a long expiry"],
)
def test_what_looks_like_it_and_is_not(profile, options, timeout):
    with queue(profile, visibility_timeout=timeout) as task_queue:
        t.add.apply_async((1, 2), **options)
        assert problems(task_queue) == []


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_a_task_that_has_expired_unrun(profile, clock):
    with queue(profile) as task_queue:
        t.add.apply_async((1, 2), expires=30)
        clock.shift(31)
        task_queue.run()
        ((slug, text, where),) = problems(task_queue)
    assert slug == "expired_task"
    assert "stepped_tasks.add has expired: no worker began it within 30 s." in text
    assert where.path == __file__


def test_a_retry_that_can_not_come_before_the_expiry():
    with queue() as task_queue:
        t.flaky.apply_async(expires=50)
        task_queue.run()
        ((slug, text, where),) = problems(task_queue)
    assert slug == "expired_task"
    assert "stepped_tasks.flaky expires unrun: its retry 1 is due 10 s after its expiry, which counts from" in text
    assert where.path.endswith("stepped_tasks.py")


@pytest.mark.parametrize(
    "look",
    [
        lambda queue, counts, result: counts == {"REVOKED": 1},
        lambda queue, counts, result: result.state,
        lambda queue, counts, result: result.status == "REVOKED",
    ],
    ids=["counts", "state", "status"],
)
def test_an_expiry_that_the_test_has_looked_at(look, clock):
    with queue() as task_queue:
        result = t.add.apply_async((1, 2), expires=30)
        clock.shift(31)
        look(task_queue, task_queue.run(), result)
        assert problems(task_queue) == []


def test_what_runs_in_its_time_or_was_revoked_has_not_expired(clock):
    with queue() as task_queue:
        t.add.apply_async((1, 2), expires=30)
        task_queue.run()
        t.flaky.apply_async(expires=600)
        task_queue.run_until_idle()
        t.add.apply_async((1, 2), countdown=20, expires=30)
        revoked = t.add.apply_async((1, 2), countdown=60)
        revoked.revoke()
        task_queue.run()
        assert problems(task_queue) == []
