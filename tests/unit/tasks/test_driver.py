"""The protocol between the task queue and its drivers: both keep to it, and what one can't do is said in one place."""

from __future__ import annotations

import ast
import asyncio
import inspect
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import stepped_tasks as t

import pytest_backchannel
from pytest_backchannel.errors import BackchannelError, MisusedQueue, NotForReal, NothingToRun
from pytest_backchannel.events import begin_log
from pytest_backchannel.servers.queue.real_driver import RealDriver
from pytest_backchannel.tasks.driver import Driver, Step, Unable
from pytest_backchannel.tasks.outcomes import TaskFailure
from pytest_backchannel.tasks.queue import TaskQueue
from pytest_backchannel.tasks.stepped.stepped_driver import SteppedDriver

PUBLIC = sorted(name for name in dir(TaskQueue) if not name.startswith("_"))


@pytest.fixture(autouse=True)
def fresh():
    t.runs.clear()
    begin_log()


@pytest.fixture
def real(tmp_path):
    """A queue over a real driver that has no broker: enough for what is decided before one is asked."""
    t.app.conf.task_time_limit, before = None, t.app.conf.task_time_limit
    integration = SimpleNamespace(app=t.app, broker_url="redis://127.0.0.1:1/0")
    with TaskQueue(t.app), TaskQueue.over(RealDriver(integration, folder=tmp_path)) as queue:
        yield queue
    t.app.conf.task_time_limit = before


@pytest.fixture(params=["stepped", "real"])
def queue(request):
    if request.param == "real":
        yield request.getfixturevalue("real")
    else:
        with TaskQueue(t.app) as queue:
            yield queue


# ------------------------------------------------------------------------ one class


def test_each_carrier_has_the_one_class(queue):
    assert type(queue) is TaskQueue
    assert isinstance(queue, Sequence)
    assert isinstance(queue._driver, Driver)
    for name in PUBLIC:
        assert getattr(queue, name) is not None, name
    assert (len(queue), list(queue), queue.enqueued(), queue.reserved()) == (0, [], [], [])
    assert queue.failures == queue.succeeded == queue.retries == queue.outcomes == queue.events == []
    queue.assert_empty()
    queue.assert_not_enqueued(t.add)


def test_what_waits_is_the_same_for_each_carrier(real):
    with real.capture() as sent:
        t.add.delay(1, 2)
    t.add.apply_async((3, 4), countdown=60)
    assert real.assert_enqueued(t.add.s(1, 2)).id == real[0].id == sent[0].id
    assert [task.args for task in real] == [(1, 2), (3, 4)]
    assert len(sent) == 1


@pytest.mark.parametrize("driver", [SteppedDriver, RealDriver])
@pytest.mark.parametrize("name", [name for name, member in vars(Driver).items() if inspect.isfunction(member)])
def test_a_driver_takes_what_the_protocol_says(driver, name):
    if name in ("__init__", "__subclasshook__", "__exit__"):
        return
    promised, kept = (inspect.signature(getattr(owner, name)) for owner in (Driver, driver))
    assert [(p.name, p.kind) for p in kept.parameters.values()] == [
        (p.name, p.kind) for p in promised.parameters.values()
    ]
    assert inspect.iscoroutinefunction(getattr(Driver, name)) == inspect.iscoroutinefunction(getattr(driver, name))


# --------------------------------------------------------------------- what it can't do


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda q: q.run(worker="worker"), "run(worker='worker') can't be had with a real broker: one worker process "),
        (
            lambda q: q.run_one(worker="worker"),
            "run_one(worker='worker') can't be had with a real broker: 2 tasks are due",
        ),
        (lambda q: q.run_one(), "run_one() can't be had with a real broker: 2 tasks are due, and a worker process"),
        (lambda q: q.advance(3600), "advance(3600) would take 3600 s of real time with a real broker, and 5 s is the"),
        (lambda q: q.advance(timedelta(minutes=1)), "advance(60) would take 60 s of real time with a real broker"),
        (lambda q: q.beat(until=60), "beat() can't be had with a real broker: its schedule is of minutes, hours"),
        (lambda q: q.redeliver(), "redeliver() can't be had with a real broker: a real broker has forgotten what"),
        (lambda q: q.refuse_publish(), "refuse_publish() can't be had with a real broker: use redis_server.stop()"),
        (
            lambda q: q.slow(t.add, 60),
            "slow() can't be had with a real broker: its tasks run in another process, and in",
        ),
        (lambda q: q.fail_write(), "fail_write() can't be had with a real broker: its tasks write in another process"),
        (lambda q: q.run(after=60), "run(after=60) would take 60 s of real time with a real broker, and 5 s is the"),
        (lambda q: q.run_one(after=60), "run_one(after=60) would take 60 s of real time with a real broker"),
        (lambda q: q.run_until_idle(after=60), "run_until_idle(after=60) would take 60 s of real time with a real"),
        (lambda q: q.hit_time_limit(), "hit_time_limit() can't be had with a real broker: the project sets no hard"),
        (lambda q: asyncio.run(q.aadvance(60)), "advance(60) would take 60 s of real time with a real broker"),
    ],
)
def test_what_a_real_broker_can_t_do_is_said_before_it_is_asked(real, ask, answer):
    t.add.delay(1, 2)
    t.add.delay(3, 4)
    with pytest.raises(NotForReal) as caught:
        ask(real)
    assert str(caught.value).startswith(f"task_queue.{answer}")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_time_limit_that_is_far_away_can_t_be_hit_for_real(real):
    t.app.conf.task_time_limit = 300
    with pytest.raises(NotForReal, match=r"hit_time_limit\(\) would take 300 s of real time .* 5 s is the limit"):
        real.hit_time_limit()


def test_what_is_due_in_an_hour_is_not_waited_for_in_real_time(real, monkeypatch):
    monkeypatch.setattr(real._driver, "run", lambda step: None)
    monkeypatch.setattr(real._driver, "next_moment", lambda: time.time() + 3600)
    with pytest.raises(NotForReal, match=r"run_until_idle\(\) would take 3600 s of real time"):
        real.run_until_idle()
    with pytest.raises(MisusedQueue, match=r"only in 3600 s, and run_until_idle\(\) moves time by at most 60 s"):
        real.run_until_idle(max_seconds=60)  # as with the stepped worker


def test_what_waits_in_a_queue_that_nobody_consumes_is_not_waited_for(tmp_path):
    integration = SimpleNamespace(app=t.app, broker_url="redis://127.0.0.1:1/0")
    with TaskQueue(t.app), TaskQueue.over(RealDriver(integration, folder=tmp_path, queues=["mail"])) as queue:
        t.add.apply_async((1, 2), countdown=0.01)
        assert queue._driver.next_moment() is None
        t.add.apply_async((1, 2), countdown=60, queue="mail")
        assert queue._driver.next_moment() == queue[1].eta.timestamp()


def test_the_error_is_raised_in_one_place():
    root = Path(pytest_backchannel.__file__).parent
    raised = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise) and node.exc is not None and "NotForReal" in ast.unparse(node.exc)
    ]
    assert raised == ["tasks/queue.py"]


def test_wrong_arguments_are_refused_alike(queue):
    with pytest.raises(ValueError, match="there is no worker 'other': choose one of 'worker'"):
        queue.run(worker="other")
    with pytest.raises(ValueError, match="there is no worker 'other': choose one of 'worker'"):
        queue.kill_worker(worker="other")
    with pytest.raises(ValueError, match="limit=0: give a number above 0"):
        queue.run(limit=0)
    with pytest.raises(ValueError, match="times=0: give a number above 0"):
        queue.refuse_publish(0)
    with pytest.raises(NothingToRun, match="nothing is due"):
        queue.run_one()


@pytest.mark.asyncio
async def test_a_plain_step_in_a_coroutine_is_refused_alike(queue):
    with pytest.raises(MisusedQueue, match=r"task_queue.run\(\) was called from a coroutine, .*await task_queue.arun"):
        queue.run()


def test_a_real_queue_that_has_not_begun_or_has_ended_says_so(tmp_path):
    integration = SimpleNamespace(app=t.app, broker_url="redis://127.0.0.1:1/0")
    queue = TaskQueue.over(RealDriver(integration, folder=tmp_path))
    with pytest.raises(MisusedQueue, match="has not begun"):
        queue.run()
    with queue:
        pass
    with pytest.raises(MisusedQueue, match="has ended"):
        queue.advance(1)


# ------------------------------------------------------------------------------ a step


def failure(name):
    return TaskFailure(name=name, id=f"id of {name}", state="FAILURE", exception=ValueError(name))


def test_a_step_raises_the_first_failure_since_it_was_last_asked():
    outcomes, seen = [failure("before")], set()
    step = Step(outcomes=outcomes, seen=seen)
    step.raise_failure()
    outcomes += [failure("first"), failure("second")]
    with pytest.raises(ValueError, match="first") as caught:
        step.raise_failure()
    assert caught.value.__notes__ == ["in task first()\n  id id of first"]
    assert seen == {"id of first", "id of second"}
    assert step.counts() == {"FAILURE": 2}


def test_a_step_that_only_records_has_shown_its_failures_when_its_counts_are_read():
    outcomes, seen = [], set()
    step = Step(outcomes=outcomes, seen=seen, propagate=False)
    outcomes.append(failure("one"))
    counts = step.counts()
    assert seen == set()
    assert counts == {"FAILURE": 1}
    assert seen == {"id of one"}


def test_unable_is_an_answer_and_no_error_of_the_package():
    assert not issubclass(Unable, BackchannelError)


def test_a_worker_process_cannot_leave_a_task_alone(real):
    t.add.delay(1, 2)
    for step in (real.run, real.run_one, real.run_until_idle):
        with pytest.raises(NotForReal, match=r"only=.* can't be had with a real broker: a worker process takes every"):
            step(only=t.add)
    with pytest.raises(NotForReal, match=r"advance\(1, only="):
        real.advance(1, only=t.add)
    assert real.run(queue="other") == {}  # nothing waits there, so no worker is needed
    real._driver._worker.consumed.add("celery")
    with pytest.raises(NotForReal, match="its worker takes from 'celery' already"):
        real.run(queue="other")
