"""What remains different from a worker in production, as docs/explanation/stepped-worker.md lists it."""

from __future__ import annotations

import time

import pytest
from celery import Celery
from kombu import Queue

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

runs: list = []


@pytest.fixture(autouse=True)
def fresh():
    runs.clear()
    begin_log()


@pytest.fixture
def app():
    app = Celery("different", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1", set_as_current=False)
    app.conf.task_queues = [Queue("celery"), Queue("other")]

    @app.task(shared=False, name="sleeps")
    def sleeps(name):
        runs.append(f"{name} begins")
        time.sleep(10)
        runs.append(f"{name} ends")

    @app.task(shared=False, name="computes", time_limit=1)
    def computes():
        computes.work()

    return app


def test_one_body_runs_at_a_time(app):
    app.conf.worker_concurrency = 8
    with VirtualClock() as clock, TaskQueue(app, workers={"a": ["celery"], "b": ["celery"]}) as queue:
        began = clock.time()
        for name in ("one", "two"):
            app.tasks["sleeps"].delay(name)
        queue.run()
        assert clock.time() - began == 20
    assert runs == ["one begins", "one ends", "two begins", "two ends"]


def test_between_queues_the_order_is_that_of_publishing(app):
    with VirtualClock(), TaskQueue(app) as queue:
        for name, target in (("one", "other"), ("two", "celery"), ("three", "other")):
            app.tasks["sleeps"].apply_async((name,), queue=target)
        queue.run()
    assert runs[::2] == ["one begins", "two begins", "three begins"]


def test_a_time_limit_cuts_off_a_sleep_and_nothing_else(app):
    with VirtualClock() as clock, TaskQueue(app) as queue:
        app.tasks["computes"].work = lambda: clock.shift(5)
        app.tasks["computes"].delay()
        assert queue.run() == {"SUCCESS": 1}


def test_a_message_ages_in_its_queue_only_where_time_moves_without_a_step(app):
    with VirtualClock() as clock, TaskQueue(app, result_backend="redis") as queue:
        aged = app.tasks["sleeps"].apply_async(("one",), expires=1)
        clock.shift(2)
        queue.run()
        assert aged.state == "PENDING"
        app.tasks["sleeps"].apply_async(("two",), expires=1)
        queue.advance(2)
    assert runs == ["two begins", "two ends"]


def test_the_workers_of_one_test_know_of_each_other_s_revoked_tasks(app):
    workers = {"a": ["celery"], "b": ["other"]}
    with VirtualClock(), TaskQueue(app, workers=workers, result_backend="redis") as queue:
        result = app.tasks["sleeps"].apply_async(("one",), countdown=60)
        queue.run()
        app.control.revoke(result.id, destination=["b@backchannel"])
        queue.run_until_idle()
        assert result.state == "REVOKED"
