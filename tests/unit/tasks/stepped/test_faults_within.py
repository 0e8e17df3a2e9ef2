"""What takes its time, or fails in the middle: slow tasks and functions, a queue that is behind, children that die."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from datetime import timedelta
from types import ModuleType

import pytest
import stepped_tasks as t
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import SoftTimeLimitExceeded

from pytest_backchannel.clock.virtual import VirtualClock, active_clock
from pytest_backchannel.errors import MisusedQueue
from pytest_backchannel.events import begin_log
from pytest_backchannel.questions.report.story import story
from pytest_backchannel.tasks.queue import TaskQueue
from pytest_backchannel.tasks.records import TookTime

HERE = sys.modules[__name__]
took: list[float] = []


def fetch(x=0):
    took.append(time.time())
    return x


async def afetch():
    return "fetched"


class Mail:
    def send(self):
        return self.kind

    @staticmethod
    def check():
        return "checked"

    @classmethod
    def name(cls):
        return cls.__name__

    kind = "mail"


class Letter(Mail):
    kind = "letter"


@pytest.fixture(autouse=True)
def fresh():
    t.runs.clear()
    took.clear()
    begin_log()


@pytest.fixture
def queue():
    with TaskQueue(t.app) as queue:
        yield queue


@pytest.fixture
def task():
    """Registers a task for one test."""
    names = []

    def register(function, **options):
        made = t.app.task(name=f"within.{function.__name__}", **options)(function)
        names.append(made.name)
        return made

    yield register
    for name in names:
        t.app.tasks.pop(name)


def passed(call):
    start = time.time()
    call()
    return time.time() - start


# --------------------------------------------------------------------- slow: what


PATHS = f"{__name__}.fetch", f"{__name__}.Mail.send", f"{__name__}.Letter.send"


@pytest.mark.parametrize(
    ("target", "call", "result"),
    [
        (fetch, lambda: HERE.fetch(3), 3),
        (PATHS[0], lambda: HERE.fetch(3), 3),
        (PATHS[1], lambda: Mail().send(), "mail"),
        (PATHS[1], lambda: Letter().send(), "letter"),
        (PATHS[2], lambda: Letter().send(), "letter"),
        (Mail.send, lambda: Mail().send(), "mail"),
        (Mail.check, lambda: Mail.check(), "checked"),
        (f"{__name__}.Mail.check", lambda: Mail().check(), "checked"),
        (Letter.name, lambda: Letter.name(), "Letter"),
        (f"{__name__}.Mail.name", lambda: Letter.name(), "Letter"),
    ],
)
def test_a_function_takes_time_until_the_block_ends(queue, target, call, result):
    before = {owner: dict(vars(owner)) for owner in (HERE, Mail, Letter)}
    with queue.slow(target, 60):
        assert passed(lambda: None) == 0
        start = time.time()
        assert call() == result
        assert time.time() - start == 60
    assert passed(call) == 0
    assert {owner: dict(vars(owner)) for owner in before} == before


def test_a_method_that_it_does_not_name_is_as_quick_as_before(queue):
    queue.slow(f"{__name__}.Letter.send", 60)
    assert passed(Mail().send) == 0


def test_a_method_of_one_object(queue):
    slow, quick = Mail(), Mail()
    with queue.slow(slow.send, 60):
        assert passed(slow.send) == 60
        assert passed(quick.send) == 0
    assert vars(slow) == {}


def test_a_function_is_slow_wherever_it_was_imported(queue, monkeypatch):
    other = ModuleType("other_place")
    other.get = fetch
    monkeypatch.setitem(sys.modules, "other_place", other)
    with queue.slow(fetch, 60):
        assert passed(other.get) == passed(HERE.fetch) == 60
    assert other.get is HERE.fetch is fetch


def test_a_builtin_function(queue, monkeypatch):
    queue.slow("os.getpid", 60)
    import os

    assert passed(os.getpid) == 60


def test_without_a_block_it_is_slow_until_the_queue_ends():
    before = HERE.fetch
    with VirtualClock(), TaskQueue(t.app) as queue:
        queue.slow(PATHS[0], timedelta(minutes=1))
        assert passed(HERE.fetch) == 60
    assert HERE.fetch is before


def test_what_somebody_has_put_there_meanwhile_stays(queue, monkeypatch):
    before = HERE.fetch
    with queue.slow(PATHS[0], 60):
        mine = HERE.fetch = lambda: "mine"
    after, HERE.fetch = HERE.fetch, before
    assert after is mine


def test_several_add_up(queue):
    before = HERE.fetch
    with queue.slow(PATHS[0], 60), queue.slow(PATHS[0], 1):
        assert passed(HERE.fetch) == 61
    assert HERE.fetch is before


def test_a_coroutine_function_takes_the_time_of_the_loop(queue):
    queue.slow(f"{__name__}.afetch", 60)
    assert inspect.iscoroutinefunction(HERE.afetch)

    async def both():
        start = time.time()
        assert await asyncio.gather(HERE.afetch(), HERE.afetch()) == ["fetched"] * 2
        return time.time() - start

    assert asyncio.run(both()) == 60


# --------------------------------------------------------- slow: what comes of it


@pytest.mark.parametrize("target", [t.add, "stepped_tasks.add"])
def test_a_task_takes_time_before_its_first_line(queue, target):
    with queue.slow(target, 60):
        t.add.delay(1, 2)
        t.total.delay([1])
        assert passed(queue.run) == 60
    t.add.delay(1, 2)
    assert passed(queue.run) == 0
    (event,) = queue.log.of(TookTime)
    assert event.headline() == "stepped_tasks.add takes 60 s"


def test_a_slow_call_is_in_the_story_of_its_task(queue, task):
    @task
    def fetches():
        HERE.fetch()

    queue.slow(PATHS[0], 90)
    fetches.delay()
    queue.run()
    lines = [line.strip() for line in story(queue.log).splitlines()]
    (line,) = [line for line in lines if "fetch takes 90 s" in line]
    assert "test_faults_within.py" in line


def test_it_meets_the_soft_time_limit_in_the_body(queue, task):
    def cuts():
        try:
            HERE.fetch()
        except SoftTimeLimitExceeded:
            return "cut short"

    cuts = task(cuts, soft_time_limit=10)
    queue.slow(PATHS[0], 60)
    result = cuts.delay()
    assert passed(queue.run) == 10
    assert (result.get(), took) == ("cut short", [])


def test_it_meets_the_hard_time_limit(queue, task):
    def hangs():
        HERE.fetch()

    hangs = task(hangs, time_limit=10)
    queue.slow(PATHS[0], 60)
    hangs.delay()
    with pytest.raises(TimeLimitExceeded):
        queue.run()
    assert took == []


@pytest.mark.parametrize(
    ("limit", "error"), [("soft_time_limit", SoftTimeLimitExceeded), ("time_limit", TimeLimitExceeded)]
)
def test_a_slow_task_meets_its_limits_too(queue, limit, error):
    queue.slow(t.add, 60)
    t.add.apply_async((1, 2), **{limit: 10})
    with pytest.raises(error):
        queue.run()
    assert t.runs == []


def test_a_task_that_handles_its_soft_limit_has_to_be_slow_in_what_it_calls(queue, task):
    def handles():
        try:
            t.runs.append("body")
        except SoftTimeLimitExceeded:
            return "cut short"

    handles = task(handles, soft_time_limit=10)
    queue.slow(handles, 60)
    handles.delay()
    with pytest.raises(
        MisusedQueue, match=r"within.handles handles its soft time limit, and slow\(within.handles, …\)"
    ):
        queue.run()
    queue.slow(handles, 5)  # together 65 s
    with queue.slow(handles, 0):
        handles.delay()
        with pytest.raises(MisusedQueue):
            queue.run()


def test_beyond_the_visibility_timeout_redis_delivers_it_again():
    with VirtualClock(), TaskQueue(t.app, profile="redis", visibility_timeout=60) as queue:
        with queue.slow(t.late, 150):  # a worker looks each 100 s
            t.late.delay(1)
            queue.run_one()
        queue.run()
        assert t.runs == [("late", 1), ("late", 1)]


def test_beside_a_step_in_somebody_elses_time_it_moves_that():
    import time_machine

    with time_machine.travel(1_800_000_000, tick=False), TaskQueue(t.app) as queue:
        queue.slow(PATHS[0], 60)
        HERE.fetch()
        assert time.time() == 1_800_000_060
    assert active_clock() is None


# ------------------------------------------------------------- slow: wrong arguments


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (
            "stepped_tasks.ad",
            ValueError,
            r"no task has this name, .* The nearest task is 'stepped_tasks.add'. Give a task",
        ),
        ("nowhere.at_all", ValueError, r"slow\('nowhere.at_all'\): .*No module named 'nowhere'"),
        (f"{__name__}.nothing", ValueError, "has no attribute 'nothing'"),
        ("nodots", ValueError, "the path of a function has a dot"),
        ("", ValueError, "no task has this name"),
        (f"{__name__}.took", TypeError, "that can't be called"),
        (f"{__name__}.Mail", TypeError, r"Mail is a class; give its method .* '.*Mail.send'"),
        (Mail, TypeError, "Mail is a class"),
        (None, TypeError, r"slow\(None\): that can't be called. Give a task, its name, a function, or the dotted path"),
        (3, TypeError, "that can't be called"),
        (lambda: None, ValueError, "it is not what .*<lambda> is, so that nobody"),
    ],
)
def test_what_can_t_be_slow(queue, target, error, text):
    with pytest.raises(error, match=text):
        queue.slow(target, 60)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [("60", TypeError), (None, TypeError), (True, TypeError), (-1, ValueError), (float("inf"), ValueError)],
)
def test_how_long_has_to_be_seconds(queue, seconds, error):
    with pytest.raises(error, match=r"slow\(\)"):
        queue.slow(t.add, seconds)


def test_a_queue_that_has_not_begun_says_so():
    with pytest.raises(MisusedQueue, match="has not begun"):
        TaskQueue(t.app).slow(t.add, 60)


# ---------------------------------------------------------------------------- after


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
@pytest.mark.parametrize("step", ["run", "run_one", "run_until_idle"])
def test_what_expires_while_the_queue_is_behind_does_not_run(profile, step):
    with VirtualClock(), TaskQueue(t.app, profile=profile) as queue:
        t.add.apply_async((1, 1), expires=30)
        t.add.apply_async((2, 2), expires=90)
        assert passed(lambda: getattr(queue, step)(after=60)) == 60
        queue.run()
        assert t.runs == [("add", 2, 2)]


def test_a_queue_that_is_behind_runs_what_came_due_meanwhile(queue):
    t.add.apply_async((1, 1), countdown=30)
    t.add.apply_async((2, 2), countdown=90)
    assert queue.run(after=timedelta(minutes=1)) == {"SUCCESS": 1}
    assert queue.run(after=0) == {}


@pytest.mark.parametrize("step", ["run", "run_one", "run_until_idle"])
@pytest.mark.parametrize(
    ("after", "error"), [(-1, ValueError), ("60", TypeError), (None, TypeError), (True, TypeError)]
)
def test_how_far_it_is_behind_has_to_be_seconds(queue, step, after, error):
    t.add.delay(1, 1)
    with pytest.raises(error, match=rf"{step}\(after=…\)"):
        getattr(queue, step)(after=after)
    queue.assert_enqueued(t.add)


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["arun", "arun_one", "arun_until_idle"])
async def test_the_async_twins_take_it_too(queue, step):
    t.add.apply_async((1, 1), expires=30)
    t.add.apply_async((2, 2), expires=90)
    await getattr(queue, step)(after=60)
    await queue.arun()
    assert t.runs == [("add", 2, 2)]


# ------------------------------------------------------------------------ lost children


def test_several_children_die_of_one_message(queue, task):
    def poison():
        t.runs.append("poison")

    poison = task(poison, acks_late=True, reject_on_worker_lost=True)
    queue.lose_child("after_body", times=3)
    poison.delay()
    queue.run()
    assert t.runs == ["poison"] * 4


def test_or_of_several_messages(queue):
    queue.lose_child(times=2)
    for number in range(3):
        t.add.delay(number, 0)
    with pytest.raises(WorkerLostError):
        queue.run()
    assert queue.run(propagate=False) == {"FAILURE": 1, "SUCCESS": 1}


@pytest.mark.parametrize("fault", ["lose_child", "refuse_publish"])
@pytest.mark.parametrize(
    ("times", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError), (1.5, TypeError), (True, TypeError)]
)
def test_how_often_has_to_be_a_number(queue, fault, times, error):
    with pytest.raises(error, match=rf"{fault}\(.*times="):
        getattr(queue, fault)(times=times)
