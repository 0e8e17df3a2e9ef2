"""TaskQueue as a test sees it: what waits, what runs, what is told when it can't."""

from __future__ import annotations

import asyncio
import sys
import time
import types
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import Mock

import pytest
import stepped_tasks as t
import time_machine
from celery import Celery, chain, group, signals
from celery.schedules import crontab
from kombu.exceptions import EncodeError, OperationalError

from pytest_backchannel.clock.virtual import VirtualClock, active_clock
from pytest_backchannel.errors import (
    AsyncTaskFunction,
    BackchannelError,
    BackchannelFailure,
    EndlessLoop,
    MisusedQueue,
    NothingToRun,
)
from pytest_backchannel.events import Problem, begin_log
from pytest_backchannel.questions.report.story import story
from pytest_backchannel.tasks.eager import EagerMode
from pytest_backchannel.tasks.expect.sending import SentElsewhere
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.fixture(autouse=True)
def fresh():
    t.runs.clear()
    begin_log()


@pytest.fixture
def queue():
    with TaskQueue(t.app) as queue:
        yield queue


# ------------------------------------------------------------------- what waits


def test_it_is_a_sequence_of_what_waits_in_the_order_of_publishing(queue):
    t.add.delay(1, 2)
    t.add.apply_async((3,), {"y": 4}, countdown=60, queue="mail", priority=5, expires=90)
    assert len(queue) == 2
    first, second = queue
    assert (first.name, first.args, first.queue, first.where.path) == (t.add.name, (1, 2), "celery", __file__)
    assert (second.args, dict(second.kwargs), second.queue) == ((3,), {"y": 4}, "mail")
    assert (second.countdown, second.expires_in) == (pytest.approx(60, abs=1), pytest.approx(90, abs=1))
    assert second.priority == 5
    assert queue[-1].id == second.id
    assert [task.id for task in queue[:1]] == [first.id]
    assert "stepped_tasks.add(1, 2)" in repr(queue)
    with pytest.raises(IndexError, match="2 tasks wait, so there is none at 5"):
        queue[5]


def test_what_the_worker_holds_for_its_eta_still_waits(queue):
    t.add.apply_async((1, 2), countdown=60)
    t.add.delay(3, 4)
    assert queue.run() == {"SUCCESS": 1}
    assert [task.args for task in queue] == [(1, 2)]
    queue.assert_enqueued(t.add.s(1, 2).set(countdown=60))


def test_the_assertions(queue):
    t.add.delay(1, 2)
    t.add.delay(x=1, y=2)
    assert queue.assert_enqueued(t.add.s(1, 2), count=2).args == (1, 2)
    queue.assert_not_enqueued(t.boom)
    assert len(queue.enqueued()) == len(queue.enqueued(t.add)) == 2
    assert queue.enqueued(t.add.s(9, 9)) == []
    with pytest.raises(BackchannelFailure, match="Not enqueued: stepped_tasks.add\\(1, 3\\)"):
        queue.assert_enqueued(t.add.s(1, 3))
    with pytest.raises(BackchannelFailure, match="2 messages wait, none should"):
        queue.assert_empty()
    queue.run()
    queue.assert_empty()
    with pytest.raises(BackchannelFailure, match=r"It was enqueued twice \(.*test_task_queue.py:\d+.*has run already"):
        queue.assert_enqueued(t.add.s(1, 2))


def test_a_workflow_is_found(queue):
    chain(t.add.s(1, 1), t.add.s(2)).delay()
    group(t.late.s(1), t.late.s(2)).delay()
    queue.assert_enqueued(chain(t.add.s(1, 1), t.add.s(2)))
    queue.assert_enqueued(group(t.late.s(1), t.late.s(2)))


def test_capture_takes_what_one_block_enqueues_whether_it_runs_or_not(queue):
    t.add.delay(0, 0)
    with queue.capture() as sent:
        t.add.delay(1, 1)
        queue.run()
    t.add.delay(2, 2)
    assert [task.args for task in sent] == [(1, 1)]


# ---------------------------------------------------------------------- stepping


def test_run_one_runs_one_and_fails_when_nothing_is_due(queue):
    t.add.delay(1, 1)
    t.add.delay(2, 2)
    assert queue.run_one() == {"SUCCESS": 1}
    assert t.runs == [("add", 1, 1)]
    queue.run_one()
    with pytest.raises(NothingToRun, match="nothing is due: no task waits"):
        queue.run_one()
    t.add.apply_async((3, 3), countdown=60)
    with pytest.raises(NothingToRun) as caught:
        queue.run_one()
    assert "stepped_tasks.add(3, 3)" in str(caught.value)
    assert "its eta is in 60 s; task_queue.advance(60) gets there" in str(caught.value)


def test_run_runs_what_tasks_enqueue_and_counts_states(queue):
    t.flaky.delay()
    t.add.delay(1, 1)
    counts = queue.run()
    assert counts == {"RETRY": 1, "SUCCESS": 1}
    assert counts["FAILURE"] == 0
    assert "FAILURE" not in counts
    assert dict(counts.items()) == {"RETRY": 1, "SUCCESS": 1}


def test_a_failing_task_raises_its_own_exception_with_a_note(queue):
    t.boom.delay("broken")
    t.add.delay(1, 1)
    with pytest.raises(ValueError, match="broken") as caught:
        queue.run()
    (note,) = caught.value.__notes__
    assert "in task stepped_tasks.boom('broken')" in note
    assert f"id {queue.failures[0].id}, enqueued at " in note
    assert "test_task_queue.py:" in note
    assert caught.traceback[-1].path.name == "stepped_tasks.py"
    assert len(queue) == 1
    assert queue.run() == {"SUCCESS": 1}


def test_an_exception_that_cannot_be_pickled_is_raised_as_it_is(queue):
    t.fails_oddly.delay()
    with pytest.raises(t.Unpicklable, match="this and that"):
        queue.run()


def test_failures_are_only_recorded_where_the_test_asks_for_it(queue):
    result = t.boom.delay()
    assert queue.run(propagate=False) == {"FAILURE": 1}
    (failure,) = queue.failures
    assert (failure.name, failure.args, failure.state) == (t.boom.name, (), "FAILURE")
    assert isinstance(failure.exception, ValueError)
    assert failure.traceback is not None
    assert result.state == "FAILURE"
    assert isinstance(result.result, ValueError)


def test_retries_and_successes_are_recorded(queue):
    t.flaky.delay()
    assert queue.run_until_idle() == {"RETRY": 2, "SUCCESS": 1}
    assert [retry.countdown for retry in queue.retries] == [60, 120]
    assert [type(retry.exc) for retry in queue.retries] == [OSError, OSError]
    (success,) = queue.succeeded
    assert (success.result, success.retries) == ("ok", 2)
    assert [outcome.state for outcome in queue.outcomes] == ["RETRY", "RETRY", "SUCCESS"]


def test_advance_runs_each_task_at_its_own_moment(queue):
    with VirtualClock() as clock:
        start = clock.time()
        t.rated.apply_async((1,), countdown=30)
        t.rated.apply_async((2,), countdown=100)
        assert queue.advance(10) == {}
        assert queue.advance(timedelta(seconds=85)) == {"SUCCESS": 1}
        assert clock.time() == start + 95
        queue.advance(60)
        assert [(x, round(at - start)) for x, at in t.runs] == [(1, 30), (2, 100)]
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="moves time forward"):
            queue.advance(wrong)
    for wrong in ("60", None, True):
        with pytest.raises(TypeError, match="takes seconds or a timedelta, not "):
            queue.advance(wrong)


@pytest.mark.parametrize("step", ["run", "run_one", "get", "run_until_idle", "advance"])
def test_a_sleep_in_a_task_takes_no_time_whatever_the_step(step):
    before = time.monotonic()
    with TaskQueue(t.app) as queue:
        result = t.slow.delay(15)
        if step == "get":
            result.get()
        else:
            getattr(queue, step)(*[0][: step == "advance"])
        assert (t.runs, result.get()) == (["slow", "soft"], "cut short")
        assert [sleep.seconds for sleep in active_clock().sleeps] == [15]
    assert active_clock() is None
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("rate", ["1000/s", "1000000/s", "7/h"])
def test_any_rate_is_kept(queue, rate):
    t.app.control.rate_limit(t.add.name, rate)
    with VirtualClock() as clock:
        begin = clock.time()
        for n in range(21):
            t.add.delay(n, n)
        assert queue.run_until_idle() == {"SUCCESS": 21}
        took = {"1000/s": 0.02, "1000000/s": 0.00002, "7/h": 20 * 3600 / 7}[rate]
        assert clock.time() - begin == pytest.approx(took, abs=1e-5)


@pytest.mark.parametrize("fraction", [0, 0.3, 0.123457, 1 / 3])
def test_no_task_runs_a_microsecond_before_its_time(queue, fraction):
    ran = []

    @t.app.task(shared=False, name="when", rate_limit="6/m")
    def when():
        ran.append(datetime.now(UTC))

    try:
        with VirtualClock(datetime(2031, 5, 1, tzinfo=UTC) + timedelta(seconds=fraction)) as clock:
            begin = clock.now
            when.apply_async(countdown=20.1)
            queue.run_until_idle()
            etas = [when.apply_async(countdown=100 * n + 0.000001) and queue[-1].eta for n in (1, 2, 3)]
            queue.run_until_idle()
            assert ran == [begin + timedelta(seconds=20.1), *etas]
            for _ in range(4):
                when.delay()
            queue.run_until_idle()
            gaps = [later - earlier for earlier, later in pairwise(ran[-5:])]
            assert gaps == [timedelta(seconds=10)] * 4
    finally:
        t.app.tasks.pop("when")


def test_the_queues_own_clock_brings_no_eta_nearer():
    while time.time() % 1 > 0.5:
        time.sleep(0.05)
    with TaskQueue(t.app) as queue:
        t.add.apply_async((1, 1), countdown=60)
        assert queue.advance(59.8) == {}
        assert queue.advance(0.2) == {"SUCCESS": 1}


def test_a_travel_goes_on_from_where_a_step_has_moved_time():
    with TaskQueue(t.app) as queue:
        with time_machine.travel(datetime(2031, 5, 1, tzinfo=UTC), tick=False):
            t.add.apply_async((1, 1), countdown=60)
            t.boom.apply_async(("broken",), countdown=60)
            assert queue.run() == {}
            with pytest.raises(ValueError, match="broken"):
                queue.advance(3600)
            assert datetime.now(UTC) == datetime(2031, 5, 1, 0, 1, tzinfo=UTC)
            t.slow.delay(15).get()
            assert datetime.now(UTC) == datetime(2031, 5, 1, 0, 1, 10, tzinfo=UTC)
            assert active_clock() is None
        assert datetime.now(UTC).year != 2031
        queue.run()
        assert active_clock() is not None


def test_freezegun_keeps_the_time_which_can_not_be_moved(monkeypatch):
    # What freezegun keeps while it is active, seen on 1.5; itself it is none of this project's requirements.
    api = types.ModuleType("freezegun.api")
    api.freeze_factories = [object()]
    monkeypatch.setitem(sys.modules, "freezegun.api", api)
    with TaskQueue(t.app) as queue:
        t.add.delay(1, 1)
        assert queue.run() == {"SUCCESS": 1}
        assert active_clock() is None
        with pytest.raises(BackchannelError, match="freezegun holds the time"):
            queue.advance(1)
        api.freeze_factories.clear()
        queue.run()
        assert active_clock() is not None


def test_run_until_idle_has_a_limit_in_time(queue):
    t.add.apply_async((1, 1), countdown=7200)
    with pytest.raises(MisusedQueue, match="something is due only in 7(200|199) s"):
        queue.run_until_idle(max_seconds=3600)
    assert queue.run_until_idle() == {"SUCCESS": 1}


def test_an_endless_loop_is_named(queue):
    t.ping.delay()
    with pytest.raises(EndlessLoop, match=r"stepped_tasks.(ping → stepped_tasks.pong|pong → stepped_tasks.ping)"):
        queue.run(limit=20)


def test_an_endless_retry_is_named(queue):
    t.never_ends.delay()
    with pytest.raises(EndlessLoop, match=r"stepped_tasks.never_ends → stepped_tasks.never_ends"):
        queue.run(limit=20)


def test_a_task_that_is_retried_for_ever_is_found_after_a_hundred_times(queue):
    t.never_ends.delay()
    with pytest.raises(EndlessLoop, match=r"never_ends\(\) was retried 101 times in one call") as raised:
        queue.run_until_idle()
    assert "Give the task a max_retries." in str(raised.value)


def test_many_retries_are_no_loop_over_several_calls_or_with_a_limit(queue):
    t.never_ends.delay()
    for _ in range(150):
        queue.run_one()
    with pytest.raises(EndlessLoop, match="stopped after 301 tasks, each enqueued by the one before"):
        queue.run(limit=300)


def test_a_message_that_comes_back_for_ever_is_named(queue):
    t.comes_back.delay()
    with pytest.raises(EndlessLoop, match=r"was delivered 21 times. It goes back to its queue"):
        queue.run(limit=20)


def test_many_tasks_are_no_loop(queue):
    for number in range(50):
        t.add.delay(number, 0)
    assert queue.run(limit=5) == {"SUCCESS": 50}


def test_a_task_may_not_step(queue):
    @t.app.task(name="steps", shared=False)
    def steps():
        queue.run()

    try:
        steps.delay()
        with pytest.raises(MisusedQueue, match="stepped from inside a task"):
            queue.run()
    finally:
        t.app.tasks.unregister("steps")


def test_a_coroutine_is_sent_to_the_asynchronous_twin(queue):
    t.add.delay(1, 1)

    async def sync_in_async():
        queue.run()

    with pytest.raises(MisusedQueue, match=r"Fix: await task_queue.arun\(\)"):
        asyncio.run(sync_in_async())

    async def get_in_async():
        t.add.delay(1, 1).get()

    with pytest.raises(MisusedQueue, match=r"Fix: await task_queue.arun\(\) first"):
        asyncio.run(get_in_async())


def test_the_asynchronous_twins(queue):
    async def run():
        t.add.delay(1, 1)
        one = await queue.arun_one()
        t.add.apply_async((1, 1), countdown=10)
        later = await queue.aadvance(10)
        t.flaky.delay()
        return one, await queue.arun(), later, await queue.arun_until_idle()

    assert asyncio.run(run()) == (
        {"SUCCESS": 1},
        {"RETRY": 1},
        {"SUCCESS": 1},
        {"RETRY": 1, "SUCCESS": 1},
    )


def test_an_async_def_task_fails_with_the_reason(queue):
    result = t.asynchronous.delay()
    with pytest.raises(AsyncTaskFunction, match="stepped_tasks.asynchronous is an `async def` task"):
        queue.run()
    assert t.runs == []
    assert result.state == "FAILURE"


# ---------------------------------------------------------------------- publishing


def test_refused_messages_raise_what_a_lost_broker_raises(queue):
    queue.refuse_publish(times=2)
    for _ in range(2):
        with pytest.raises(OperationalError, match="the broker refused the message"):
            t.add.delay(1, 1)
    t.add.delay(1, 1)
    assert len(queue) == 1
    with pytest.raises(ValueError, match="times=0: give a number above 0"):
        queue.refuse_publish(0)


def test_a_queue_of_another_app_takes_nothing_of_this_one():
    with pytest.raises(ValueError, match="order='lifo': choose one of 'fifo', 'random'"):
        TaskQueue(t.app, order="lifo")
    with pytest.raises(ValueError, match="profile='kafka': choose one of 'rabbitmq', 'redis'"):
        TaskQueue(t.app, profile="kafka")
    with pytest.raises(ValueError, match="give one of them"):
        TaskQueue(t.app, queues=["a"], workers={"b": ["c"]})


def test_random_order_is_that_of_its_seed():
    def order(seed):
        t.runs.clear()
        with TaskQueue(t.app, order="random", seed=seed) as queue:
            for number in range(8):
                t.add.delay(number, 0)
            assert queue.run() == {"SUCCESS": 8}
        return [x for _, x, _ in t.runs]

    assert order(1) == order(1)
    assert sorted(order(1)) == list(range(8))
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_redeliver_all_runs_everything_twice():
    with TaskQueue(t.app, redeliver_all=True) as queue:
        t.add.delay(1, 1)
        t.late.delay(2)
        assert queue.run() == {"SUCCESS": 4}
    assert sorted(t.runs) == [("add", 1, 1), ("add", 1, 1), ("late", 2), ("late", 2)]


def test_redeliver_all_does_not_double_retries():
    with VirtualClock(), TaskQueue(t.app, redeliver_all=True) as queue:
        t.flaky.delay()
        queue.run_until_idle()
        # Two deliveries of the message, and of each its two retries once.
        assert sorted(t.runs) == [0, 0, 1, 1, 2, 2]
        assert len(queue.retries) == 4


def test_remote_control_is_answered(queue):
    assert t.app.control.inspect().ping() == {"worker@backchannel": {"ok": "pong"}}
    assert t.app.control.inspect().active() == {"worker@backchannel": []}


def test_the_protocol_of_celery_3_is_understood(monkeypatch):
    monkeypatch.setitem(t.app.conf.changes, "task_protocol", 1)
    with TaskQueue(t.app) as queue:
        t.add.delay(1, 2)
        assert queue[0].args == (1, 2)
        assert queue.run() == {"SUCCESS": 1}


def test_the_story_tells_what_led_to_what(queue):
    with VirtualClock():
        t.flaky.delay()
        queue.advance(60)
    lines = story(queue.log).splitlines()
    shown = [line.split("  [")[0].strip() for line in lines]
    assert shown[0] == "0 s  enqueued stepped_tasks.flaky() to 'celery'"
    assert any(line.endswith("└─ ran stepped_tasks.flaky()") for line in shown)
    assert any("enqueued stepped_tasks.flaky() to 'celery', retry 1, in 60 s" in line for line in shown)
    assert any(line.startswith("60.0 s") and line.endswith("ran stepped_tasks.flaky()") for line in shown)
    assert f"[{__file__.rpartition('/')[2]}" in lines[0] or "test_task_queue.py" in lines[0]


def test_beat_enqueues_what_is_due(queue, monkeypatch):
    monkeypatch.setitem(
        t.app.conf.changes,
        "beat_schedule",
        {
            "hourly": {"task": t.add.name, "schedule": 3600.0, "args": (1, 2)},
            "lost": {"task": "stepped_tasks.gone", "schedule": 7200.0, "options": {"queue": "elsewhere"}},
        },
    )
    with VirtualClock(datetime(2030, 1, 1, tzinfo=UTC)) as clock:
        sent = queue.beat(until=timedelta(hours=3))
        assert clock.now == datetime(2030, 1, 1, 3, tzinfo=UTC)
    assert [task.name for task in sent].count(t.add.name) == 3
    assert [task.queue for task in sent if task.name == "stepped_tasks.gone"] == ["elsewhere"]
    (problem,) = [p for p in queue.log.take_problems() if p.slug == "unknown_task"]
    assert "the beat entry 'lost' names the task 'stepped_tasks.gone'" in problem.text
    with pytest.raises(ValueError, match="has no time zone"):
        queue.beat(until=datetime(2030, 1, 2))
    with pytest.raises(ValueError, match="the moment has passed"):
        queue.beat(until=-5)


def test_a_fault_for_what_is_no_task_is_refused(queue):
    with pytest.raises(BackchannelError, match="42 is no task"):
        queue.kill_worker(task=42)
    with pytest.raises(ValueError, match="when='later': choose one of 'before_body', 'after_body'"):
        queue.kill_worker(when="later")
    with pytest.raises(ValueError, match="there is no worker 'other': choose one of 'worker'"):
        queue.run(worker="other")


def test_a_queue_that_has_not_begun_or_has_ended_says_so():
    queue = TaskQueue(t.app)
    for use in (lambda: len(queue), lambda: queue.run(), lambda: queue[0]):
        with pytest.raises(MisusedQueue, match="has not begun"):
            use()
    with queue:
        result = t.add.delay(1, 1)
    assert [task.args for task in queue] == [(1, 1)]  # what is known may still be looked at
    for use in (queue.run, queue.run_one, queue.run_until_idle, lambda: queue.advance(1), result.get):
        with pytest.raises(MisusedQueue, match="has ended"):
            use()
    with pytest.raises(MisusedQueue, match="has ended"):
        queue.beat(until=60)
    assert t.runs == []


@pytest.mark.parametrize("enable_utc", [True, False])
def test_an_eta_without_a_time_zone_is_utc_as_it_is_for_the_worker(queue, enable_utc):
    eta = datetime(2031, 6, 1, 12, 0)
    before = t.app.conf.timezone, t.app.conf.enable_utc
    t.app.conf.update(timezone="Asia/Tokyo", enable_utc=enable_utc)
    try:
        with VirtualClock(datetime(2031, 6, 1, 10, 0, tzinfo=UTC)) as clock:
            t.add.apply_async((1, 1), eta=eta, expires=eta + timedelta(hours=1))
            assert queue[0].eta == datetime(2031, 6, 1, 12, 0, tzinfo=UTC)
            assert (queue[0].countdown, queue[0].expires_in) == (7200, 10800)
            queue.assert_enqueued(t.add.s(1, 1).set(eta=eta, expires=eta + timedelta(hours=1)))
            queue.run_until_idle()
            assert clock.now == datetime(2031, 6, 1, 12, 0, tzinfo=UTC)
    finally:
        t.app.conf.update(timezone=before[0], enable_utc=before[1])


# ------------------------------------------------------- what went wrong before it could wait


def test_an_argument_that_no_message_can_carry_is_named_with_its_path(queue):
    with pytest.raises(EncodeError) as raised:
        t.add.delay(1, y={"lines": [1, {2}]})
    (note,) = raised.value.__notes__
    assert note.startswith("stepped_tasks.add is called with y['lines'][1] = {2} (set), which the serialiser 'json'")
    assert "Fix: pass what it can carry" in note


def test_arguments_that_the_serialiser_has_changed_are_told(queue):
    t.add.delay({1: "a"}, 2)
    with pytest.raises(BackchannelFailure) as raised:
        queue.assert_enqueued(t.add.s({1: "b"}, 2))
    assert "has changed argument 1: {1: 'a'} (dict) became {'1': 'a'} (dict)." in str(raised.value)


@pytest.mark.parametrize("value", [{"a": 1}, (1, 2), "x", None, 1.5])
def test_arguments_that_came_as_they_were_are_not_told(queue, value):
    t.add.delay(value, 2)
    with pytest.raises(BackchannelFailure) as raised:
        queue.assert_enqueued(t.add.s(value, 3))
    assert "serialiser" not in str(raised.value)


@pytest.mark.parametrize("method", ["delay", "apply_async"])
def test_a_mock_in_the_place_of_what_enqueues_is_told(queue, monkeypatch, method):
    monkeypatch.setattr(t.add, method, Mock())
    getattr(t.add, method)(1, 2)
    with pytest.raises(BackchannelFailure, match=rf"stepped_tasks.add.{method} is a Mock \(called once\)"):
        queue.assert_enqueued(t.add.s(1, 2))


def test_a_mock_in_the_place_of_the_task_is_told(queue, monkeypatch):
    add = t.add
    monkeypatch.setattr(t, "add", Mock())
    with pytest.raises(BackchannelFailure, match=r"stepped_tasks.add is a Mock \(not called yet\)"):
        queue.assert_enqueued(add.s(1, 2))


def test_eager_mode_beside_the_queue_is_told_as_a_conflict(queue):
    with EagerMode():
        t.add.delay(1, 2)
        with pytest.raises(BackchannelFailure, match=r"task_always_eager is on.*The two conflict: take one of them\."):
            queue.assert_enqueued(t.add.s(1, 2))


def test_a_module_of_tasks_that_can_not_be_imported_is_told(queue):
    def autodiscovered(**kwargs):
        raise ValueError("no key")

    signals.import_modules.connect(autodiscovered, sender=t.app)
    try:
        with pytest.raises(BackchannelFailure, match="importing the modules of tasks raises ValueError: no key at"):
            queue.assert_enqueued("broken_tasks.pay")
    finally:
        signals.import_modules.disconnect(autodiscovered, sender=t.app)
    assert [problem for problem in queue.log.of(Problem) if problem.slug == "handler_failed"] == []


def test_when_a_beat_entry_is_due_is_told_where_it_was_expected(queue):
    t.app.conf.beat_schedule = {
        "nightly": {"task": t.add.name, "schedule": crontab(hour=3, minute=30), "args": (1, 2)},
        "another": {"task": t.total.name, "schedule": 60.0},
    }
    try:
        with pytest.raises(BackchannelFailure, match=r"'nightly' \(<crontab: 30 3 .* at 20.* 03:30:00 UTC;") as told:
            queue.assert_enqueued(t.add)
        assert "another" not in str(told.value)
    finally:
        t.app.conf.beat_schedule = {}


def test_a_queue_whose_app_was_imported_too_late_is_told(queue):
    text = SentElsewhere("shop.add", "default", None).told(t.app)
    assert "Celery makes where there is none: the project's own had not been imported by then." in text
    assert "from .celery import app as celery_app" in text


@pytest.fixture
def other_app():
    other = Celery("own", broker="memory://", backend="cache+memory://", set_as_current=False)

    @other.task(name="own.only", shared=False)
    def only():
        pass

    return other


TO_ANOTHER = r"stepped_tasks.add was enqueued at \S+, and went to another Celery app.*that of 'stepped'"


def test_what_went_to_another_app_is_told_by_assertions_of_absence(queue, other_app):
    other_app.tasks[t.add.name].delay(1, 2)
    for check in (queue.assert_empty, lambda: queue.assert_not_enqueued(t.add)):
        with pytest.raises(BackchannelFailure, match=r"Nothing waits here, but " + TO_ANOTHER):
            check()
    with pytest.raises(BackchannelFailure, match=TO_ANOTHER):
        queue.assert_enqueued(t.add.s(1, 2))
    with pytest.raises(NothingToRun, match=r"No task has reached this task_queue: " + TO_ANOTHER):
        queue.run()
    queue.assert_not_enqueued(t.total)


def test_another_app_with_tasks_of_its_own_is_nobodys_mistake(queue, other_app):
    other_app.tasks["own.only"].delay()
    queue.assert_empty()
    assert queue.run() == {}
