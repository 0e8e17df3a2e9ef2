"""Which bodies run, in which way, and what comes of them."""

from __future__ import annotations

import pytest
from celery import Task
from celery.app.task import Task as TaskClass
from celery.exceptions import MaxRetriesExceededError, Reject, Retry
from questions_support import whats

from pytest_backchannel.questions.report.seen.bodies import Bodies
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.mark.parametrize("call", [lambda task: task(1), lambda task: task.run(1), lambda task: task.s(1)()])
def test_a_call_as_a_function(app, seen, call):
    @app.task(name="t")
    def t(x):
        return x + 1

    assert call(t) == 2
    assert whats(seen) >= {"function", "succeeded"}
    assert not whats(seen) & {"eager", "stepped", "thread", "enqueued"}


@pytest.mark.parametrize("call", [lambda task: task.delay(1), lambda task: task.apply((1,))])
def test_a_call_in_eager_mode(app, seen, call):
    @app.task(name="t")
    def t(x):
        return x + 1

    assert call(t).get() == 2
    assert whats(seen) >= {"eager", "succeeded"}
    assert "function" not in whats(seen)


def test_the_stepped_worker(app, seen):
    @app.task(name="t")
    def t(x):
        return x + 1

    with TaskQueue(app) as queue:
        t.delay(1)
        queue.run()
    assert whats(seen) >= {"stepped", "succeeded", "enqueued"}
    assert not whats(seen) & {"eager", "function", "thread"}


def test_a_task_that_another_one_calls_as_a_function(app, seen):
    @app.task(name="t")
    def t():
        return 1

    @app.task(name="outer")
    def outer():
        return t()

    assert outer.delay().get() == 1
    assert whats(seen) >= {"function"}
    assert "eager" not in whats(seen)
    assert "eager" in whats(seen, "task:outer")


@pytest.mark.parametrize("stepped", [False, True])
def test_an_errback_is_called_by_celery_and_not_as_a_function(app, seen, stepped):
    @app.task(name="other")
    def other(): ...

    @app.task(name="t")
    def t(request, exc, traceback):
        other()

    @app.task(name="bad")
    def bad():
        raise ValueError

    if stepped:
        with TaskQueue(app) as queue:
            bad.apply_async(link_error=t.s())
            queue.run(propagate=False)
    else:
        app.conf.task_eager_propagates = False
        bad.apply_async(link_error=t.s())
    assert whats(seen) >= {"errback", "succeeded"}
    assert "function" not in whats(seen)
    assert "function" in whats(seen, "task:other")


def test_a_failure_in_each_way(app, seen):
    @app.task(name="t")
    def t():
        raise ValueError

    with pytest.raises(ValueError):
        t()
    assert whats(seen) == {"function", "failed"}


def test_a_reject_is_no_failure(app, seen):
    @app.task(name="t")
    def t():
        raise Reject("no")

    with TaskQueue(app) as queue:
        t.delay()
        queue.run()
    assert "rejected" in whats(seen)
    assert not whats(seen) & {"failed", "succeeded"}


# ----------------------------------------------------------------------- retries


def test_autoretry_retries_until_nothing_is_left(app, seen):
    @app.task(name="t", autoretry_for=(ValueError,), max_retries=1, default_retry_delay=1)
    def t():
        raise ValueError("always")

    with TaskQueue(app) as queue:
        t.delay()
        queue.run()
        assert "retried" in whats(seen)
        assert not whats(seen) & {"failed", "exhausted"}
        with pytest.raises(ValueError):
            queue.run_until_idle()
    assert whats(seen) >= {"retried", "exhausted", "failed"}


def test_a_retry_of_the_tasks_own_in_eager_mode(app, seen):
    @app.task(name="t", bind=True, max_retries=0)
    def t(self, first):
        raise self.retry() if first else self.retry(max_retries=5)

    with pytest.raises(MaxRetriesExceededError):
        t.delay(True)
    assert "retried" not in whats(seen)
    assert "exhausted" in whats(seen)
    with pytest.raises(Retry):
        t.delay(False)
    assert "retried" in whats(seen)


def test_a_retry_of_a_function_retries_nothing(app, seen):
    @app.task(name="t", bind=True)
    def t(self):
        raise self.retry(exc=KeyError("gone"))

    with pytest.raises(KeyError):
        t()
    assert whats(seen) == {"function", "failed"}


def test_a_failure_for_good_at_the_last_attempt_is_no_retry_too_many(app, seen):
    @app.task(name="t", bind=True, max_retries=0, autoretry_for=(KeyError,))
    def t(self):
        raise ValueError

    with pytest.raises(ValueError):
        t.delay()
    assert "exhausted" not in whats(seen)


# ------------------------------------------------------------------------- hooks


class Told(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        pass


def test_a_hook_that_eager_mode_leaves_out(app, seen):
    @app.task(name="t", base=Told)
    def t():
        raise ValueError

    with pytest.raises(ValueError):
        t.delay()
    assert "hook:on_failure" not in whats(seen)
    with TaskQueue(app) as queue:
        t.delay()
        queue.run(propagate=False)
        assert queue.failures
    assert "hook:on_failure" in whats(seen)
    assert "hook:after_return" not in whats(seen)


def test_a_class_based_task(app, seen):
    class Classy(Task):
        name = "t"

        def run(self):
            return 1

        def on_success(self, retval, task_id, args, kwargs):
            pass

    task = app.register_task(Classy())
    assert task.delay().get() == 1
    assert whats(seen) >= {"eager", "succeeded", "hook:on_success"}


def test_a_task_that_overrides_its_call(app, seen):
    class Calling(Task):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs)

    @app.task(name="t", base=Calling)
    def t():
        return 1

    assert t.delay().get() == 1
    assert "eager" in whats(seen)
    assert "function" not in whats(seen)
    assert t() == 1
    assert "function" in whats(seen)


# ------------------------------------------------------------------ what is left


def test_all_is_as_before_afterwards(app):
    @app.task(name="t", base=Told, autoretry_for=(KeyError,))
    def t():
        return 1

    @app.task(name="u")
    def u():
        return 1

    t.name, u.name  # noqa: B018  (a task is made when it is first looked at)
    before = (dict(vars(t)), dict(vars(u)), Told.on_failure, TaskClass.retry)
    bodies = Bodies()
    bodies.install()
    assert t.run is not before[0]["run"]
    assert "run" in vars(u)
    bodies.remove()
    assert (dict(vars(t)), dict(vars(u)), Told.on_failure, TaskClass.retry) == before


def test_nothing_is_noted_between_two_tests(app):
    @app.task(name="t")
    def t():
        return 1

    bodies = Bodies()
    bodies.install()
    try:
        assert t() == 1
    finally:
        bodies.remove()
