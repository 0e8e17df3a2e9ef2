"""What the worker's process and its pool make of a body's end: limits, lost processes, errors that are no Exception."""

from __future__ import annotations

import time

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery import Celery, Task, chord, signals
from support.versions import CELERY, since_celery

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.questions.report.story import story
from pytest_backchannel.tasks.queue import TaskQueue

app = Celery("pool", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1", set_as_current=False)
seen: list = []
PROFILES = pytest.mark.parametrize("profile", ["redis", "rabbitmq"])


class Hooked(Task):
    def before_start(self, *args):
        seen.append("before_start")

    def on_failure(self, exc, *args):
        seen.append("on_failure")

    def after_return(self, status, *args):
        seen.append(f"after_return {status}")


class Odd(BaseException):
    """Neither an Exception nor one that Python knows."""


@app.task(base=Hooked, time_limit=1)
def limited():
    try:
        time.sleep(3)
    finally:
        seen.append("finally")


@app.task(time_limit=1)
def deaf():
    try:
        time.sleep(3)
    except BaseException:
        seen.append("deaf")
        time.sleep(60)
    seen.append("went on")


@app.task(soft_time_limit=1)
def soft():
    time.sleep(3)


@app.task(base=Hooked, track_started=True, acks_late=False)
def started():
    seen.append("body")


@app.task
def raises(name):
    raise {"memory": MemoryError("no memory"), "odd": Odd("odd"), "generator": GeneratorExit("end")}[name]


@app.task(acks_late=True)
def runs_out_again():
    seen.append("runs out")
    raise MemoryError("no memory")


@app.task
def add(x=1, y=1):
    return x + y


@app.task
def errback(task_id):
    seen.append("errback")


@app.task
def total(numbers):
    return sum(numbers)


@pytest.fixture(autouse=True)
def fresh():
    seen.clear()
    begin_log()


@pytest.fixture
def heard():
    def failed(exception, **kwargs):
        seen.append(f"task_failure {type(exception).__name__}")

    def ran(state=None, **kwargs):
        seen.append(f"task_postrun {state}")

    signals.task_failure.connect(failed)
    signals.task_postrun.connect(ran)
    yield
    signals.task_failure.disconnect(failed)
    signals.task_postrun.disconnect(ran)


@pytest.fixture
def queue():
    with VirtualClock(), TaskQueue(app, result_backend="redis") as queue:
        yield queue


# ---------------------------------------------------------------------- time limits


def test_a_hard_time_limit_is_told_twice_and_before_the_body_is_unwound(queue, heard):
    result = limited.apply_async(link_error=errback.s())
    with pytest.raises(TimeLimitExceeded):
        queue.run()
    assert seen == [
        "before_start",
        "task_failure TimeLimitExceeded",
        # Celery calls the task's own handlers since 5.7, and sends the signal for each of the two.
        *(["on_failure", "after_return FAILURE", "task_failure TimeLimitExceeded"] if CELERY >= (5, 7) else []),
        "finally",
        "task_postrun None",
    ]
    seen.clear()
    queue.run()
    assert (seen.count("errback"), result.state) == (2, "FAILURE")


def test_no_task_is_the_current_one_while_a_hard_time_limit_is_told(queue):
    """Else what is stored of the chord's callback has the errbacks for children, which a real worker has not."""
    result = chord([limited.s()], soft.s().on_error(errback.s())).apply_async()
    queue.run(propagate=False)
    meta = app.backend.get_task_meta(result.id)
    assert meta["status"] == "FAILURE"
    assert meta["children"] is None


def test_a_hard_time_limit_counts_as_one_failure(queue):
    limited.apply_async(link_error=errback.s())
    assert queue.run(propagate=False) == {"FAILURE": 1, "SUCCESS": 2}
    assert len(queue.failures) == 1


def test_a_body_that_catches_the_signal_of_its_limit_is_killed(queue, heard):
    deaf.delay()
    with pytest.raises(TimeLimitExceeded):
        queue.run()
    assert seen == [*["task_failure TimeLimitExceeded"] * (2 if CELERY >= (5, 7) else 1), "deaf"]
    assert add.delay().get() == 2


def test_the_text_of_a_soft_limit_is_that_of_a_worker(queue):
    soft.delay()
    with pytest.raises(SoftTimeLimitExceeded) as raised:
        queue.run()
    assert repr(raised.value.args) == "()"


# ------------------------------------------------------------------- lost processes


@PROFILES
def test_a_process_that_dies_before_its_body_has_begun_with_the_task(profile, heard):
    with TaskQueue(app, profile=profile, result_backend="redis") as queue:
        queue.kill_worker(task=started)
        result = started.delay()
        queue.run()
        assert (seen, result.state) == (["before_start"], "STARTED")


def test_nobody_hears_of_the_end_of_a_process_that_is_killed(queue, heard):
    queue.lose_child("after_body", task=started)
    started.delay()
    queue.run(propagate=False)
    assert seen == ["before_start", "body", "task_failure WorkerLostError"]
    seen.clear()
    started.delay()
    queue.run()
    assert seen == ["before_start", "body", "after_return SUCCESS", "task_postrun SUCCESS"]


def test_a_lost_process_is_told_with_its_job(queue):
    add.delay()
    queue.lose_child("after_body", task=started)
    started.delay()
    with pytest.raises(WorkerLostError, match=r"^Worker exited prematurely: signal 9 \(SIGKILL\) Job: 1\."):
        queue.run()


def test_a_new_worker_counts_its_jobs_anew(queue):
    queue.kill_worker(task=started)
    queue.lose_child(task=add)
    started.delay()
    add.delay()
    with pytest.raises(WorkerLostError, match=r"Job: 0\."):
        queue.run()


# ----------------------------------------------------- what is no ordinary exception


@PROFILES
def test_running_out_of_memory_fails_the_task_and_the_worker_is_started_again(profile):
    with TaskQueue(app, profile=profile, result_backend="redis") as queue:
        result = raises.apply_async(("memory",), link_error=errback.s())
        add.delay()
        assert queue.run(propagate=False) == {"FAILURE": 1, "SUCCESS": 2}
        assert (result.state, seen) == ("FAILURE", ["errback"])
        assert isinstance(queue.failures[0].exception, MemoryError)
        assert "worker ended (MemoryError: Process got: no memory), and was started again" in story(queue.log)


def test_running_out_of_memory_fails_a_chord(queue):
    result = chord([raises.s("memory")], total.s())()
    assert queue.run(propagate=False)["FAILURE"] == 1
    assert result.state == "FAILURE"
    assert add.delay().get() == 2


def test_a_late_task_that_runs_out_of_memory_comes_back_for_ever(queue):
    from pytest_backchannel.errors import EndlessLoop

    runs_out_again.delay()
    with pytest.raises(EndlessLoop):
        queue.run(propagate=False, limit=5)
    assert seen == ["runs out"] * 5


@since_celery(5, 7, before="the worker's own process fails of it, and the task stays PENDING")
@pytest.mark.parametrize(("name", "kind"), [("odd", Odd), ("generator", GeneratorExit)])
def test_what_is_no_exception_fails_the_task(queue, name, kind):
    result = raises.delay(name)
    add.delay()
    assert queue.run(propagate=False) == {"FAILURE": 1, "SUCCESS": 1}
    assert isinstance(queue.failures[0].exception, kind)
    assert result.state == "FAILURE"


def test_what_pytest_raises_in_a_body_reaches_the_test(queue):
    @app.task(shared=False)
    def fails_the_test():
        pytest.fail("this is for the test")

    fails_the_test.delay()
    with pytest.raises(pytest.fail.Exception, match="for the test"):
        queue.run(propagate=False)
