"""Handlers that fail: Celery only logs it, or takes it for the task's own failure."""

from __future__ import annotations

import pytest
from celery import Celery, Task, signals
from support.versions import CELERY, since_celery

from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

app = Celery("handlers", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1", set_as_current=False)
calls: list = []
SINCE_5_7 = since_celery(5, 7, before="on_success and after_return take the end of their task with them")


class OnSuccess(Task):
    def on_success(self, *args):
        raise RuntimeError("on_success")


class OnFailure(Task):
    def on_failure(self, *args):
        calls.append("on_failure")
        raise RuntimeError("on_failure")


class AfterReturn(Task):
    def after_return(self, *args):
        raise RuntimeError("after_return")


class BeforeStart(Task):
    def before_start(self, *args):
        raise RuntimeError("before_start")


class OnRetry(Task):
    def on_retry(self, *args):
        raise RuntimeError("on_retry")


@app.task(base=OnSuccess)
def on_success():
    return 1


@app.task(base=OnFailure)
def on_failure():
    raise ValueError("body")


@app.task(base=AfterReturn)
def after_return():
    return 1


@app.task(base=BeforeStart)
def before_start():
    return 1


@app.task(base=OnRetry, bind=True)
def on_retry(self):
    if not self.request.retries:
        raise self.retry(countdown=0)


@app.task
def fine():
    return 1


@app.task
def fails():
    raise ValueError("body")


@app.task
def wrong_errback():
    calls.append("never")


@app.task
def new_errback(request, exc, traceback):
    raise RuntimeError("errback")


@pytest.fixture(autouse=True)
def fresh():
    calls.clear()


@pytest.fixture
def log():
    return begin_log()


@pytest.fixture
def queue(log):
    with TaskQueue(app, result_backend="redis") as queue:
        yield queue


@SINCE_5_7
@pytest.mark.parametrize("task", [on_success, after_return], ids=lambda task: task.name)
def test_a_handler_of_a_task_that_succeeds(queue, task):
    result = task.delay()
    hook = task.name.rpartition(".")[2]
    with pytest.raises(RuntimeError, match=hook) as raised:
        queue.run()
    assert f"{hook} failed: RuntimeError('{hook}')" in raised.value.__notes__[0]
    assert result.state == "SUCCESS"
    assert [failure.name for failure in queue.failures] == [task.name]


@SINCE_5_7
@pytest.mark.parametrize("task", [on_success, after_return], ids=lambda task: task.name)
def test_it_is_counted(queue, task):
    task.delay()
    assert queue.run(propagate=False) == {"SUCCESS": 1, "FAILURE": 1}
    queue._driver._check()
    assert queue.log.take_problems() == []


@pytest.mark.skipif(CELERY >= (5, 7), reason="celery 5.7 only logs it")
@pytest.mark.parametrize("task", [on_success, after_return], ids=lambda task: task.name)
def test_it_takes_the_end_of_its_task_with_it(queue, task):
    result = task.delay()
    assert queue.run(propagate=False) == {"FAILURE": 1}
    assert isinstance(queue.failures[0].exception, RuntimeError)
    assert result.state == "SUCCESS"


def test_on_failure_that_fails(queue):
    """The state is what the last to fail says; what the test hears of is the failure that came first."""
    result = on_failure.delay()
    with pytest.raises(ValueError, match="body") as raised:
        queue.run()
    assert "on_failure failed: RuntimeError('on_failure')" in raised.value.__notes__[0]
    assert result.state == "FAILURE"
    with pytest.raises(RuntimeError):
        result.get()


def test_before_start_that_fails_is_the_task_s_own_failure(queue):
    before_start.delay()
    with pytest.raises(RuntimeError, match="before_start"):
        queue.run()
    assert queue.failures[0].handlers == ()


def test_on_retry_that_fails(queue):
    on_retry.delay()
    assert queue.run(propagate=False) == {"FAILURE": 1, "SUCCESS": 1}
    assert isinstance(queue.failures[0].exception, RuntimeError)


@pytest.mark.parametrize("errback", [wrong_errback, new_errback], ids=lambda task: task.name)
def test_an_errback_that_fails(queue, errback):
    result = fails.apply_async(link_error=errback.s())
    assert queue.run(propagate=False) == {"FAILURE": 1}
    (failure,) = queue.failures
    assert isinstance(failure.exception, ValueError)
    assert [error.handler for error in failure.handlers] == [f"the errback {errback.name}"]
    assert result.state == "FAILURE"


def test_an_exception_in_celery_s_own_path_is_told_once_and_by_the_parent_process_again(queue):
    told = []

    def internal(exception, **kwargs):
        told.append(("task_internal_error", repr(exception)))

    def failed(exception, **kwargs):
        told.append(("task_failure", repr(exception)))

    signals.task_internal_error.connect(internal)
    signals.task_failure.connect(failed)
    try:
        on_failure.apply_async(link_error=fine.si())
        assert queue.run(propagate=False) == {"FAILURE": 1, "SUCCESS": 3}
    finally:
        signals.task_internal_error.disconnect(internal)
        signals.task_failure.disconnect(failed)
    handler = repr(RuntimeError("on_failure"))
    assert told == [("task_internal_error", handler), ("task_failure", handler)]
    assert calls == ["on_failure", "on_failure"]


@pytest.mark.parametrize("signal", [signals.task_prerun, signals.task_postrun, signals.task_success])
def test_a_receiver_that_fails_in_the_worker(queue, signal):
    def receiver(**kwargs):
        raise RuntimeError("receiver")

    signal.connect(receiver)
    try:
        fine.delay()
        with pytest.raises(RuntimeError, match="receiver") as raised:
            queue.run()
    finally:
        signal.disconnect(receiver)
    assert f"receiver, a receiver of the signal {signal.name}, failed" in raised.value.__notes__[0]
    assert queue.failures[0].name == fine.name


def test_a_receiver_that_fails_as_a_task_is_sent(queue):
    def receiver(**kwargs):
        raise RuntimeError("receiver")

    signals.before_task_publish.connect(receiver)
    try:
        result = fine.delay()
        with pytest.raises(RuntimeError, match="receiver"):
            queue.run()
    finally:
        signals.before_task_publish.disconnect(receiver)
    assert queue.failures[0].id == result.id
    assert queue.run() == {"SUCCESS": 1}


@pytest.mark.parametrize(
    ("send", "slugs"),
    [
        pytest.param(on_success.delay, ["handler_failed"], marks=SINCE_5_7),
        (on_failure.delay, ["failed_task", "handler_failed"]),
        (lambda: fails.apply_async(link_error=wrong_errback.s()), ["failed_task", "handler_failed"]),
    ],
)
def test_one_that_nobody_looked_at_is_a_verdict_of_its_own(log, send, slugs):
    with TaskQueue(app, result_backend="redis") as queue:
        send()
        queue.run(propagate=False)
        queue._driver._check()
        problems = log.take_problems()
        assert [problem.slug for problem in problems] == slugs
        if len(slugs) == 2:
            text = problems[1].text
            assert text.index("ValueError") < text.index("then")


@SINCE_5_7
def test_a_look_at_the_state_shows_no_handler(queue):
    assert on_success.delay().get() == 1
    queue._driver._check()
    assert [problem.slug for problem in queue.log.take_problems()] == ["handler_failed"]


def test_the_loggers_of_celery_are_put_back(queue):
    import logging

    from celery.app import trace
    from celery.backends import base
    from celery.utils.dispatch import signal

    modules = (trace, base, signal)
    assert not any(isinstance(module.logger, logging.Logger) for module in modules)
    queue.__exit__(None, None, None)
    assert all(isinstance(module.logger, logging.Logger) for module in modules)
