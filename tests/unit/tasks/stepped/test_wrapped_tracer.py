"""What other libraries wrap around Celery's tracer and its methods is seen through, and stays where it is."""

from __future__ import annotations

import functools

import pytest
import stepped_tasks as t
from celery import Celery
from celery.app import trace
from celery.app.task import Task
from celery.worker import request

from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

BROKER = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def fresh():
    begin_log()


def named(tracer, seen):
    @functools.wraps(tracer)
    def inner(*args, **kwargs):
        seen.append("traced")
        return tracer(*args, **kwargs)

    return inner


def nameless(tracer, seen):
    """Does not say what it wraps."""

    def inner(*args, **kwargs):
        seen.append("traced")
        return tracer(*args, **kwargs)

    return inner


@pytest.mark.parametrize("wrap", [named, nameless])
def test_a_wrapper_around_the_tracer_runs_and_the_body_is_still_seen(monkeypatch, wrap):
    seen, build = [], trace.build_tracer
    wrapper = lambda *args, **kwargs: wrap(build(*args, **kwargs), seen)  # noqa: E731
    monkeypatch.setattr(trace, "build_tracer", wrapper)
    with TaskQueue(t.app) as queue:
        result = t.add.delay(1, 2)
        queue.run_one()
        assert result.get() == 3
        t.late.delay()
        queue.lose_child("after_body", task=t.late)
        queue.run(propagate=False)
        (failure,) = queue.failures
    assert "exited prematurely" in str(failure.exception)
    assert seen == ["traced", "traced"]
    assert trace.build_tracer is wrapper


@pytest.mark.parametrize("wrap", [named, nameless])
def test_a_wrapper_around_what_the_pool_is_given_runs(monkeypatch, wrap):
    seen = []
    monkeypatch.setattr(request, "fast_trace_task", wrap(request.fast_trace_task, seen))
    with TaskQueue(t.app) as queue:
        result = t.add.delay(1, 2)
        queue.run_one()
        assert result.get() == 3
    assert seen == ["traced"]


@pytest.mark.parametrize("wraps", [functools.wraps, lambda original: lambda function: function])
def test_whether_a_retry_is_raised_is_seen_below_a_wrapper_of_retry(monkeypatch, wraps):
    original = Task.retry

    @wraps(original)
    def retry(self, *args, **kwargs):
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Task, "retry", retry)

    app = Celery("wrapped", broker=BROKER, backend=BROKER, set_as_current=False)

    @app.task(bind=True, shared=False)
    def again(self):
        if not self.request.retries:
            self.retry(countdown=1, throw=False)

    with TaskQueue(app) as queue:
        again.delay()
        assert queue.run_until_idle() == {"SUCCESS": 2}
