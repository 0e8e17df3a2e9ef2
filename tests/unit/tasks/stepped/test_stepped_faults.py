"""What goes wrong on demand, and what each kind of broker and result backend makes of it."""

from __future__ import annotations

import pytest
import stepped_tasks as t
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import chord, group
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu import Exchange, Queue
from support.versions import since_celery

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.errors import MisusedQueue, NothingToRun, ResultUnavailable
from pytest_backchannel.events import begin_log
from pytest_backchannel.questions.report.story import story
from pytest_backchannel.tasks.queue import TaskQueue
from pytest_backchannel.tasks.records import DeadLettered, MessageLost
from pytest_backchannel.tasks.stepped.transport import topic_matches


@pytest.fixture(autouse=True)
def fresh():
    t.runs.clear()
    begin_log()


@pytest.fixture
def queue():
    with TaskQueue(t.app) as queue:
        yield queue


# ------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("task", "when", "runs"),
    [
        (t.late, "before_body", 1),
        (t.late, "after_body", 2),
        (t.add, "before_body", 0),
        (t.add, "after_body", 1),
    ],
)
def test_a_killed_worker_loses_what_was_acknowledged_and_gets_the_rest_again(queue, task, when, runs):
    queue.kill_worker(when=when)
    result = task.delay(1) if task is t.late else task.delay(1, 1)
    queue.run()
    assert len(t.runs) == runs
    assert result.state == ("SUCCESS" if task is t.late else "PENDING")
    assert len(queue) == 0
    lost = [event.headline() for event in queue.log.of(MessageLost)]
    assert lost == ([] if task is t.late else ["lost: it was acknowledged when its worker was killed"])


def test_what_a_killed_worker_had_prefetched_comes_back_too(queue):
    queue.kill_worker(task=t.late)
    t.late.delay(1)
    for number in range(3):
        t.add.delay(number, 0)
    queue.run()
    assert sorted(map(str, t.runs)) == sorted(map(str, [("late", 1), *[("add", n, 0) for n in range(3)]]))


def test_on_redis_it_comes_back_after_the_visibility_timeout_when_a_worker_looks():
    with VirtualClock(), TaskQueue(t.app, profile="redis", visibility_timeout=600) as queue:
        queue.kill_worker(when="after_body")
        t.late.delay(1)
        queue.run()
        assert len(t.runs) == 1
        with pytest.raises(NothingToRun, match=r"Redis gives it to another one after the visibility timeout of 600 s"):
            queue.run_one()
        queue.advance(599)
        assert len(t.runs) == 1
        queue.advance(101)
        assert len(t.runs) == 2
        queue.assert_empty()


def test_a_sweep_of_redis_takes_ten_messages_at_most():
    options = {"visibility_timeout": 100}
    with VirtualClock(), TaskQueue(t.app, profile="redis", broker_options=options, queues=["celery"]) as queue:
        t.app.conf.worker_prefetch_multiplier, before = 0, t.app.conf.worker_prefetch_multiplier
        try:
            queue.kill_worker()
            for number in range(12):
                t.late.delay(number)
            queue.run()
            assert t.runs == []
            queue.advance(100)
            assert len(t.runs) == 10
            queue.advance(100)
            assert len(t.runs) == 12
        finally:
            t.app.conf.changes.pop("worker_prefetch_multiplier")
            assert t.app.conf.worker_prefetch_multiplier == before


def test_a_lost_child_fails_the_task(queue):
    queue.lose_child()
    result = t.late.delay(1)
    with pytest.raises(WorkerLostError, match="signal 9"):
        queue.run()
    assert (t.runs, result.state) == ([], "FAILURE")


def test_a_hard_time_limit_fails_the_task(queue):
    queue.hit_time_limit("after_body")
    t.slow.delay(0)
    with pytest.raises(TimeLimitExceeded):
        queue.run()
    assert t.runs == ["slow"]


def test_time_limits_hold_in_virtual_time(queue):
    with VirtualClock() as clock:
        start = clock.time()
        result = t.slow.delay(15)
        assert queue.run() == {"SUCCESS": 1}
        assert (t.runs, result.get(), clock.time() - start) == (["slow", "soft"], "cut short", 10)
        t.slow.delay(15, patient=True)
        with pytest.raises(TimeLimitExceeded):
            queue.run()
        assert clock.time() - start == 30
        assert t.slow.delay(5).get() == "finished"


def test_a_fault_waits_for_the_task_that_it_is_for(queue):
    queue.lose_child(task=t.late)
    t.add.delay(1, 1)
    t.late.delay(1)
    assert queue.run(propagate=False) == {"SUCCESS": 1, "FAILURE": 1}
    assert [failure.name for failure in queue.failures] == [t.late.name]


@since_celery(5, 7, before="with billiard 4.3 nothing is told of it, and the task stays PENDING")
def test_sys_exit_is_a_lost_process(queue):
    t.leaves.delay()
    with pytest.raises(WorkerLostError, match="exitcode 3"):
        queue.run()
    assert "✗ its process was lost during body" in story(queue.log)


@pytest.mark.parametrize(("profile", "transport"), [("redis", "redis"), ("rabbitmq", "amqp")])
def test_the_stats_of_a_worker_are_told(profile, transport):
    with TaskQueue(t.app, profile=profile) as queue:
        t.add.delay(1, 1)
        queue.run()
        (stats,) = t.app.control.inspect().stats().values()
        assert stats["broker"]["transport"] == transport
        assert stats["total"] == {t.add.name: 1}


def test_the_end_of_a_worker_is_refused(queue):
    t.app.control.shutdown()
    t.add.delay(1, 1)
    with pytest.raises(MisusedQueue, match=r"app.control.shutdown\(\) has reached the worker 'worker'"):
        queue.run()
    assert queue.run() == {"SUCCESS": 1}


def test_a_message_can_be_delivered_once_more(queue):
    with pytest.raises(NothingToRun, match="no task was run yet"):
        queue.redeliver()
    t.add.delay(1, 1)
    t.late.delay(2)
    queue.run()
    assert queue.redeliver(t.add).args == (1, 1)
    queue.run()
    assert t.runs == [("add", 1, 1), ("late", 2), ("add", 1, 1)]


# ------------------------------------------------------------------------ workers


def test_two_workers_share_a_queue_and_each_keeps_what_it_prefetched():
    with TaskQueue(t.app, workers={"a": ["celery"], "b": ["celery"]}) as queue:
        for number in range(8):
            t.add.delay(number, 0)
        queue.run_one(worker="b")
        assert len(queue.reserved("a")) == 4
        assert len(queue.reserved("b")) == 3
        queue.run(worker="b")
        assert len(t.runs) == 4
        with pytest.raises(NothingToRun, match="worker 'b' has nothing to run"):
            queue.run_one(worker="b")
        queue.kill_worker(worker="a")
        queue.run()
        assert len(t.runs) == 7  # add acknowledges early: the one that ran when its worker was killed is lost


def test_a_queue_that_nobody_consumes_waits():
    with TaskQueue(t.app, workers={"fast": ["celery"], "slow": ["reports"]}) as queue:
        t.add.apply_async((1, 1), queue="reports")
        t.add.apply_async((2, 2), queue="mail")
        assert queue.run() == {"SUCCESS": 1}
        with pytest.raises(NothingToRun) as caught:
            queue.run_one()
        assert "no worker consumes queue 'mail' ('fast' consumes 'celery'; 'slow' consumes 'reports')" in str(
            caught.value
        )


# ----------------------------------------------------------------------- rabbitmq


@pytest.fixture
def declared(monkeypatch):
    """Declared queues with RabbitMQ's arguments."""
    dead = Exchange("dead", type="direct")
    changes = t.app.conf.changes
    monkeypatch.setitem(
        changes,
        "task_queues",
        [
            Queue("celery", routing_key="celery"),
            Queue("brief", routing_key="brief", queue_arguments={"x-message-ttl": 5000}),
            Queue(
                "careful",
                routing_key="careful",
                queue_arguments={"x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "late"},
            ),
            Queue("short", routing_key="short", queue_arguments={"x-max-length": 2}),
            Queue("full", routing_key="full", queue_arguments={"x-max-length": 2, "x-overflow": "reject-publish"}),
            Queue("ranked", routing_key="ranked", queue_arguments={"x-max-priority": 5}),
            Queue("letters", dead, routing_key="late"),
        ],
    )


def args_of(queue, name):
    return [task.args[0] for task in queue if task.queue == name]


def test_messages_die_in_the_queue(declared):
    with VirtualClock() as clock, TaskQueue(t.app, queues=["celery"]) as queue:
        t.add.apply_async((1, 1), queue="brief")
        t.add.apply_async((2, 2), queue="unread", expires=3)
        clock.shift(4)
        queue.run()
        assert [task.args[0] for task in queue] == [1]
        queue.advance(1)
        assert len(queue) == 0
        assert [event.reason for event in queue.log.of(MessageLost)] == ["its time in the queue was over"] * 2


def test_a_rejected_message_goes_to_the_dead_letters(declared):
    with TaskQueue(t.app, queues=["celery", "careful"]) as queue:

        @t.app.task(name="refuses", acks_late=True, shared=False)
        def refuses():
            from celery.exceptions import Reject

            raise Reject("no", requeue=False)

        try:
            queue.app.amqp.queues["letters"](queue.app.connection_for_write().channel()).declare()
            refuses.apply_async(queue="careful")
            queue.run()
        finally:
            t.app.tasks.unregister("refuses")
        (letter,) = queue
        assert (letter.name, letter.queue) == ("refuses", "letters")
        (death,) = letter.headers["x-death"]
        assert (death["queue"], death["reason"], death["count"]) == ("careful", "rejected", 1)
        assert [event.targets for event in queue.log.of(DeadLettered)] == [("letters",)]


def test_a_full_queue_drops_its_head_or_refuses_the_newest(declared):
    with TaskQueue(t.app, queues=["celery"]) as queue:
        for number in range(3):
            t.add.apply_async((number, 0), queue="short")
            t.add.apply_async((number, 0), queue="full")
        assert args_of(queue, "short") == [1, 2]
        assert args_of(queue, "full") == [0, 1]


def test_priorities_count_only_where_the_queue_has_them(declared):
    with TaskQueue(t.app) as queue:
        for number, priority in enumerate((1, 9, 3)):
            t.add.apply_async((number, 0), queue="ranked", priority=priority)
            t.add.apply_async((10 + number, 0), queue="celery", priority=priority)
        queue.run()
    ran = [x for _, x, _ in t.runs]
    assert [x for x in ran if x < 10] == [1, 2, 0]
    assert [x for x in ran if x >= 10] == [10, 11, 12]


def test_redis_knows_priorities_in_steps_and_no_queue_arguments(declared):
    with TaskQueue(t.app, profile="redis") as queue:
        for number, priority in enumerate((9, 0, 5, 3)):
            t.add.apply_async((number, 0), queue="short", priority=priority)
        queue.run()
    assert [x for _, x, _ in t.runs] == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("mail", "mail", True),
        ("mail.*", "mail.new", True),
        ("mail.*", "mail", False),
        ("mail.*", "mail.new.again", False),
        ("mail.#", "mail", True),
        ("#.mail", "0.1.mail", True),
        ("#", "anything.at.all", True),
        ("a.#.b.*", "a.x.b.y.b.z", True),
        ("a.#.b.*", "a.x.b.y.c", False),
    ],
)
def test_topics_match_word_by_word(pattern, key, fits):
    assert topic_matches(pattern, key) is fits


def test_an_eta_on_a_quorum_queue_waits_in_rabbitmq(monkeypatch):
    changes = t.app.conf.changes
    quorum = Queue("q", Exchange("q", type="topic"), routing_key="q", queue_arguments={"x-queue-type": "quorum"})
    monkeypatch.setitem(changes, "task_queues", [quorum])
    monkeypatch.setitem(changes, "task_default_queue", "q")
    monkeypatch.setitem(changes, "task_default_exchange_type", "topic")
    with VirtualClock(), TaskQueue(t.app) as queue:
        t.add.apply_async((1, 1), countdown=60)
        assert queue[0].queue.startswith("celery_delayed_")
        with pytest.raises(NothingToRun, match="its eta is in 60 s"):
            queue.run_one()
        assert queue.advance(59) == {}
        assert queue.advance(1) == {"SUCCESS": 1}


# ------------------------------------------------------------------------ results


def test_get_steps_the_worker(queue):
    assert t.add.delay(1, 2).get() == 3
    assert group(t.add.s(1, 1), t.add.s(2, 2)).delay().get() == [2, 4]
    with pytest.raises(ValueError, match="broken"):
        t.boom.delay("broken").get()
    assert t.boom.delay().get(propagate=False).args == ("boom",)


def test_get_says_why_no_result_will_come():
    with TaskQueue(t.app, queues=["celery"]) as queue:
        with pytest.raises(ResultUnavailable, match=r"its eta is in 60 s; task_queue.advance\(60\) gets there"):
            t.add.apply_async((1, 1), countdown=60).get()
        with pytest.raises(ResultUnavailable, match=r"no worker consumes queue 'mail' \('worker' consumes 'celery'\)"):
            t.add.apply_async((1, 1), queue="mail").get()
        with pytest.raises(ResultUnavailable, match="stepped_tasks.unstored\\(\\) has run, and stored no result"):
            t.app.AsyncResult(t.unstored.delay().id).get()
        assert t.unstored.delay().get() is None
        with pytest.raises(ResultUnavailable, match="no task with this id was enqueued"):
            t.app.AsyncResult("00000000-made-up").get(timeout=5)
        queue.kill_worker()
        with pytest.raises(ResultUnavailable, match="its message is gone"):
            t.add.delay(1, 1).get()
        with pytest.raises(ResultUnavailable, match="raised Ignore"):
            t.ignores.delay().get()


def test_get_with_a_timeout_moves_time_by_as_much_as_a_worker_needs():
    with VirtualClock() as clock, TaskQueue(t.app) as queue:
        start = clock.time()
        assert t.add.apply_async((1, 2), countdown=3).get(timeout=5) == 3
        assert clock.time() - start == 3
        assert t.flaky.delay().get(timeout=180) == "ok"
        assert clock.time() - start == 183
        late = t.add.apply_async((1, 2), countdown=30)
        with pytest.raises(CeleryTimeoutError, match=r"eta is in 25 s"):
            late.get(timeout=5)
        assert clock.time() - start == 188
        with pytest.raises(CeleryTimeoutError):
            group(t.add.s(1, 1), t.add.s(2, 2).set(countdown=40)).apply_async().get(timeout=30)
        assert clock.time() - start == 218
        assert late.get(timeout=0) == 3
        queue.run_until_idle()


def test_get_with_a_timeout_gives_up_on_what_never_comes(queue):
    with VirtualClock() as clock:
        start = clock.time()
        with pytest.raises(CeleryTimeoutError, match="raised Ignore"):
            t.ignores.delay().get(timeout=5)
        assert clock.time() - start == 5


def test_get_inside_a_task_is_refused(queue):
    t.waits.delay()
    with pytest.raises(RuntimeError, match="Never call result.get"):
        queue.run()
    t.waits_stubbornly.delay()
    with pytest.raises(ResultUnavailable, match="was waited for inside a task"):
        queue.run()


def test_without_a_backend_results_and_chords_fail_as_in_production():
    with TaskQueue(t.app, result_backend="disabled") as queue:
        result = t.add.delay(1, 1)
        assert queue.run() == {"SUCCESS": 1}
        assert queue.succeeded[0].result == 2
        with pytest.raises(ResultUnavailable, match="no result backend is configured"):
            result.get()
        with pytest.raises(ResultUnavailable, match="no result backend is configured"):
            _ = result.state
        with pytest.raises(NotImplementedError, match="Starting chords requires a result backend"):
            chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s())()


def test_the_rpc_backend_has_no_chords():
    with TaskQueue(t.app, result_backend="rpc"):
        assert t.add.delay(1, 1).get() == 2
        with pytest.raises(NotImplementedError, match='The "rpc" result backend does not support chords'):
            chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s())()


@pytest.mark.parametrize("kind", ["redis", "cache", "db"])
def test_chords_run_on_every_other_backend(kind):
    with TaskQueue(t.app, result_backend=kind) as queue:
        result = chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s())()
        queue.run_until_idle()
        assert result.get() == 6
        polled = [event for event in queue.events if event.task == "celery.chord_unlock"]
        assert bool(polled) is (kind == "db")


@pytest.mark.parametrize(("kind", "state"), [("redis", "SUCCESS"), ("cache", "PENDING")])
def test_a_chord_with_an_ignored_result_works_on_redis_alone(kind, state):
    with TaskQueue(t.app, result_backend=kind) as queue:
        result = chord([t.add.s(1, 1).set(ignore_result=True), t.add.s(2, 2)], t.total.s())()
        queue.run_until_idle(propagate=False)
        if kind == "redis":
            assert result.get() == 6
        else:
            assert result.state == "FAILURE"
