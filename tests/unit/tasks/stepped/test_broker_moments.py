"""What the broker does at which moment: acknowledgement, expiry, visibility timeout, bindings, properties."""

from __future__ import annotations

import time

import pytest
from celery import Celery, signals
from kombu import Exchange, Queue

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.errors import EndlessLoop
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

runs: list = []
PROFILES = pytest.mark.parametrize("profile", ["redis", "rabbitmq"])


@pytest.fixture(autouse=True)
def fresh():
    runs.clear()
    begin_log()


@pytest.fixture
def app():
    app = Celery("moments", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1", set_as_current=False)
    app.conf.worker_prefetch_multiplier = 1
    app.conf.worker_concurrency = 1

    @app.task(shared=False, name="note")
    def note(x):
        runs.append(x)

    @app.task(shared=False, name="spawn")
    def spawn(x, **options):
        runs.append(x)
        note.apply_async(("child",), **options)

    @app.task(shared=False, name="long", acks_late=True)
    def long(seconds):
        runs.append(("start", round(time.time())))
        time.sleep(seconds)
        runs.append("end")

    @app.task(shared=False, name="ask", bind=True)
    def ask(self):
        runs.append((self.request.delivery_info["priority"], sorted(self.request.properties)))

    return app


# ------------------------------------------------------------------ acknowledgement


def test_an_early_acknowledgement_lets_the_next_message_come_before_the_body_runs(app):
    app.conf.task_queues = [Queue("ranked", queue_arguments={"x-max-priority": 9})]
    app.conf.task_default_queue = "ranked"
    with TaskQueue(app) as queue:
        app.tasks["spawn"].apply_async((1,), {"priority": 9}, priority=5)
        app.tasks["note"].apply_async((2,), priority=5)
        app.tasks["note"].apply_async((3,), priority=5)
        queue.run()
    assert runs == [1, 2, "child", 3]


def test_a_late_acknowledgement_does_not(app):
    app.conf.task_acks_late = True
    app.conf.task_queues = [Queue("ranked", queue_arguments={"x-max-priority": 9})]
    app.conf.task_default_queue = "ranked"
    for task in app.tasks.values():
        task.acks_late = True
    with TaskQueue(app) as queue:
        app.tasks["spawn"].apply_async((1,), {"priority": 9}, priority=5)
        app.tasks["note"].apply_async((2,), priority=5)
        queue.run()
    assert runs == [1, "child", 2]


# ------------------------------------------------------------------------- expiry


@PROFILES
@pytest.mark.parametrize("expires", [0, -5])
@pytest.mark.parametrize("order", ["fifo", "random"])
def test_what_has_expired_already_is_revoked_by_an_idle_worker(app, profile, expires, order):
    revoked = []

    def receiver(expired, **kwargs):
        revoked.append(expired)

    signals.task_revoked.connect(receiver)
    try:
        with VirtualClock() as clock, TaskQueue(app, profile=profile, result_backend="redis", order=order) as queue:
            result = app.tasks["note"].apply_async((1,), expires=expires)
            clock.shift(1)
            assert queue.run() == {"REVOKED": 1}
            assert (result.state, revoked, runs) == ("REVOKED", [True], [])
            queue.assert_empty()
    finally:
        signals.task_revoked.disconnect(receiver)


def test_with_a_busy_worker_rabbitmq_drops_it(app):
    for task in app.tasks.values():
        task.acks_late = True
    with VirtualClock(), TaskQueue(app, result_backend="redis") as queue:
        app.tasks["note"].delay(1)
        result = app.tasks["note"].apply_async((2,), expires=0)
        assert queue.run() == {"SUCCESS": 1}
        assert (result.state, runs) == ("PENDING", [1])
        queue.assert_empty()


def test_a_queue_whose_messages_may_not_wait_delivers_to_an_idle_worker(app):
    app.conf.task_queues = [Queue("now", queue_arguments={"x-message-ttl": 0})]
    app.conf.task_default_queue = "now"
    with VirtualClock(), TaskQueue(app) as queue:
        app.tasks["note"].delay(1)
        assert queue.run() == {"SUCCESS": 1}


@PROFILES
def test_a_task_expires_at_its_very_moment(app, profile):
    with VirtualClock(), TaskQueue(app, profile=profile, result_backend="redis") as queue:
        app.tasks["note"].apply_async((1,), countdown=30, expires=30)
        assert queue.run_until_idle() == {"REVOKED": 1}
        assert runs == []


# -------------------------------------------------------------- visibility timeout


def test_an_eta_as_long_as_the_visibility_timeout_runs_once(app):
    with VirtualClock(), TaskQueue(app, profile="redis") as queue:
        app.tasks["note"].apply_async((1,), countdown=3600)
        queue.run_until_idle()
    assert runs == [1]


def test_a_longer_one_runs_more_than_once(app):
    with VirtualClock(), TaskQueue(app, profile="redis", visibility_timeout=3600) as queue:
        app.conf.worker_prefetch_multiplier = 4
        app.tasks["note"].apply_async((1,), countdown=3800)
        queue.run_until_idle()
    assert runs == [1, 1]


def test_a_late_body_that_outlives_the_visibility_timeout_is_delivered_again_while_it_runs(app):
    app.conf.worker_prefetch_multiplier = 4
    options = {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    with VirtualClock(0), TaskQueue(app, profile="redis", broker_options=options) as queue:
        app.tasks["long"].delay(5)
        assert queue.run()["SUCCESS"] > 1
        delivered = [event.headline() for event in queue.log.of(_delivered())]
    assert delivered[:2] == ["delivered to worker", "delivered again to worker"]
    assert [run for run in runs if run != "end"][:2] == [("start", 0), ("start", 5)]


def test_with_no_free_place_it_comes_back_for_ever(app):
    """As measured on Redis: each run outlives the visibility timeout in its turn."""
    options = {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    with VirtualClock(), TaskQueue(app, profile="redis", broker_options=options) as queue:
        app.tasks["long"].delay(6)
        with pytest.raises(EndlessLoop, match="runs longer than the visibility timeout of 2 s"):
            queue.run(limit=5)


def test_a_second_worker_gets_it_too(app):
    app.conf.task_queues = [Queue("celery")]
    options = {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    workers = {"a": ["celery"], "b": ["celery"]}
    with VirtualClock(), TaskQueue(app, profile="redis", broker_options=options, workers=workers) as queue:
        app.tasks["long"].delay(3)
        queue.run()
        assert len({event.worker for event in queue.log.of(_delivered())}) == 2


@pytest.mark.parametrize(
    ("profile", "visibility", "seconds"), [("redis", 10, 10), ("redis", 20, 11), ("rabbitmq", 2, 11)]
)
def test_a_body_that_does_not_outlive_it_runs_once(app, profile, visibility, seconds):
    options = {"visibility_timeout": visibility, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    with VirtualClock(), TaskQueue(app, profile=profile, broker_options=options) as queue:
        app.tasks["long"].delay(seconds)
        assert queue.run_until_idle() == {"SUCCESS": 1}


def _delivered():
    from pytest_backchannel.tasks.records import Delivered

    return Delivered


# --------------------------------------------------------------- routing, properties


@PROFILES
def test_a_worker_has_declared_its_bindings_before_the_first_message(app, profile):
    topic = Exchange("topic", type="topic")
    app.conf.task_queues = [Queue("one", topic, routing_key="a.#"), Queue("two", topic, routing_key="*.c")]
    app.conf.task_default_queue = "one"  # which each publishing declares, and its exchange with it
    with TaskQueue(app, profile=profile) as queue:
        app.tasks["note"].apply_async((1,), exchange="topic", routing_key="a.c")
        assert sorted(task.queue for task in queue) == ["one", "two"]
        assert queue.run() == {"SUCCESS": 2}


@pytest.mark.parametrize(("profile", "ran"), [("redis", 0), ("rabbitmq", 1)])
def test_redis_takes_an_exchange_that_only_others_have_declared_for_direct(app, profile, ran):
    app.conf.task_queues = [Queue("celery"), Queue("one", Exchange("topic", type="topic"), routing_key="a.#")]
    with TaskQueue(app, profile=profile) as queue:
        app.tasks["note"].apply_async((1,), exchange="topic", routing_key="a.c")
        assert queue.run().get("SUCCESS", 0) == ran
        # Publishing to its queue by name declares the exchange, in this process.
        app.tasks["note"].apply_async((2,), queue="one")
        app.tasks["note"].apply_async((3,), exchange="topic", routing_key="a.c")
        assert queue.run() == {"SUCCESS": 2}


@pytest.mark.parametrize(("profile", "queues"), [("redis", ["two"]), ("rabbitmq", ["one", "two"])])
def test_redis_hands_a_fanout_to_a_worker_once(app, profile, queues):
    """Kombu knows one queue for a subscription; make fuzz has found it on a real Redis."""
    fanout = Exchange("all", type="fanout")
    app.conf.task_queues = [Queue("one", fanout), Queue("two", fanout)]
    app.conf.task_default_queue = "one"
    for _ in range(2):  # the worker of the first one may be kept for the second
        with TaskQueue(app, profile=profile) as queue:
            app.tasks["note"].apply_async((1,), queue="one")
            assert sorted(task.queue for task in queue) == queues
            assert queue.run() == {"SUCCESS": len(queues)}
    with TaskQueue(app, profile=profile) as queue:
        queue.kill_worker(when="before_body")
        app.tasks["note"].apply_async((2,), queue="one")
        queue.run()
        app.tasks["note"].apply_async((3,), queue="one")
        assert queue.run()["SUCCESS"] == len(queues)


AMQP = ["application_headers", "content_encoding", "content_type", "correlation_id", "delivery_mode", "reply_to"]
VIRTUAL = [
    "body_encoding", "correlation_id", "delivery_info", "delivery_mode", "delivery_tag", "priority", "reply_to",
]  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "options", "priority", "properties"),
    [
        ("rabbitmq", {"queue": "celery"}, None, AMQP),  # with a queue, Celery hands over no priority; else it is 0
        ("rabbitmq", {}, 0, sorted([*AMQP, "priority"])),
        ("rabbitmq", {"priority": 5}, 5, sorted([*AMQP, "priority"])),
        ("rabbitmq", {"queue": "celery", "origin": "me"}, None, AMQP),  # as retry() does; AMQP has no such property
        ("redis", {"queue": "celery"}, 0, VIRTUAL),
        ("redis", {"queue": "celery", "origin": "me"}, 0, sorted([*VIRTUAL, "origin"])),
        ("redis", {"priority": 5}, 5, VIRTUAL),
    ],
)
def test_a_request_has_the_properties_of_its_broker(app, profile, options, priority, properties):
    with TaskQueue(app, profile=profile) as queue:
        app.tasks["ask"].apply_async(**options)
        queue.run()
    assert runs == [(priority, properties)]


# ------------------------------------------------------------------ results, revokes


@pytest.mark.parametrize(("kind", "state"), [("redis", "PENDING"), ("cache", "PENDING"), ("db", "SUCCESS")])
def test_results_expire_where_the_backend_lets_them(app, kind, state):
    app.conf.result_expires = 3600
    with VirtualClock(), TaskQueue(app, result_backend=kind) as queue:
        first = app.tasks["note"].delay(1)
        queue.run()
        queue.advance(3590)
        assert app.AsyncResult(first.id).state == "SUCCESS"
        queue.advance(20)
        assert app.AsyncResult(first.id).state == state


@PROFILES
def test_a_killed_worker_forgets_what_was_revoked(app, profile):
    with VirtualClock(), TaskQueue(app, profile=profile, result_backend="redis") as queue:
        app.conf.worker_prefetch_multiplier = 4
        result = app.tasks["long"].apply_async((0,), countdown=600)
        queue.run()
        app.control.revoke(result.id)
        queue.kill_worker(task="note")
        app.tasks["note"].delay(1)
        queue.run_until_idle()
        assert result.state == "SUCCESS"


def test_beside_another_worker_a_new_one_hears_of_it(app):
    app.conf.task_queues = [Queue("celery")]
    with VirtualClock(), TaskQueue(app, workers={"a": ["celery"], "b": ["celery"]}, result_backend="redis") as queue:
        result = app.tasks["long"].apply_async((0,), countdown=600)
        queue.run()
        app.control.revoke(result.id)
        queue.kill_worker(task="note")
        app.tasks["note"].delay(1)
        queue.run_until_idle()
        assert result.state == "REVOKED"
