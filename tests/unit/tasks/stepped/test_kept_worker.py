"""What one queue does to its worker is not seen by the next one, though they share it where nothing has changed."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections import namedtuple

import pytest
from celery import Celery, bootsteps, signals
from celery.worker import state as worker_state
from kombu import Exchange, Queue

from pytest_backchannel.errors import EndlessLoop, MisusedQueue, ResultUnavailable
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue
from pytest_backchannel.tasks.stepped.kept.snapshot import Snapshot

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("BACKCHANNEL_TEST_ANEW")), reason="nothing is kept in this run (make test-anew)"
)

Parts = namedtuple("Parts", "amqp controller")


@pytest.fixture(autouse=True)
def fresh():
    begin_log()


@pytest.fixture
def app():
    app = Celery("kept", broker="redis://127.0.0.1:1/0", set_as_current=False)

    @app.task(name="kept.add", shared=False)
    def add(x, y):
        return x + y

    @app.task(name="kept.again", shared=False, bind=True)
    def again(self, n):
        self.apply_async((n + 1,))

    @app.task(name="kept.fail", shared=False)
    def fail():
        raise ZeroDivisionError

    app.finalize()
    yield app
    app.close()


def use(app, **options):
    """One ordinary test, and what it was made of."""
    with TaskQueue(app, **options) as queue:
        result = app.tasks["kept.add"].delay(1, 2)
        assert queue.run() == {"SUCCESS": 1}
        assert queue.succeeded[0].result == 3
        if options.get("result_backend") != "disabled":
            assert result.get() == 3
        return parts(queue)


def parts(queue):
    worker = next(iter(queue._driver.engine.workers.values()))
    return Parts(queue.app.amqp, worker.controller)


def is_kept(app, first, **options):
    """Whether the worker and the producer of an earlier queue are used again."""
    now = use(app, **options)
    return (now.amqp is first.amqp, now.controller is first.controller)


KEPT, NEW, NEW_WORKER = (True, True), (False, False), (True, False)


@pytest.mark.parametrize("backend", ["cache", "redis", "db", "rpc", "disabled"])
@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_an_ordinary_test_leaves_its_worker_to_the_next(app, profile, backend):
    options = {"profile": profile, "result_backend": backend}
    first = use(app, **options)
    for _ in range(3):
        assert is_kept(app, first, **options) == KEPT


def test_without_reuse_all_is_built_anew(app):
    first = use(app)
    assert is_kept(app, first, reuse=False) == NEW
    assert is_kept(app, first) == KEPT


def test_queues_of_another_kind_share_nothing(app):
    first = use(app)
    assert is_kept(app, first, profile="redis") == NEW
    assert is_kept(app, first, queues=["celery"]) == NEW
    assert is_kept(app, first, workers={"one": ["celery"], "two": ["other"]}) == NEW
    assert is_kept(app, first) == KEPT


def test_several_workers_are_kept_too(app):
    workers = {"one": ["celery"], "two": ["other"]}
    use(app, workers=workers)
    with TaskQueue(app, workers=workers) as queue:
        queue.run()
        before = [worker.controller for worker in queue._driver.engine.workers.values()]
    with TaskQueue(app, workers=workers) as queue:
        app.tasks["kept.add"].apply_async((1, 2), queue="other")
        assert queue.run() == {"SUCCESS": 1}
        assert [worker.controller for worker in queue._driver.engine.workers.values()] == before
        assert queue.succeeded[0].id


def test_nothing_is_declared_before_it_is_used(app):
    use(app)
    with TaskQueue(app) as queue:
        broker = queue._driver.broker
        assert broker.queues == {}
        app.tasks["kept.add"].delay(1, 2)
        assert list(broker.queues) == ["celery"]
        queue.run()
        assert set(broker.queues) == {"celery", "worker@backchannel.celery.pidbox"}
        assert app.control.inspect().ping() == {"worker@backchannel": {"ok": "pong"}}


def test_a_kept_worker_declares_and_binds_what_a_new_one_does(app):
    def declared():
        with TaskQueue(app) as queue:
            queue._driver.start()
            transport = queue._driver.engine.installation.transport
            state = transport.shared_state
            return (
                set(queue._driver.broker.queues),
                dict(state.exchanges),
                set(state.bindings),
                {name: frozenset(pairs) for name, pairs in transport.exchange_bindings.items()},
            )

    app.conf.task_queues = [Queue("q", Exchange("x", type="topic"), "a.#", queue_arguments={"x-queue-type": "quorum"})]
    app.conf.task_default_queue = "q"
    cold = declared()
    assert declared() == cold
    assert "x" in cold[1]


def test_messages_and_results_do_not_stay(app):
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].delay(1, 2)
    with TaskQueue(app) as queue:
        assert len(queue) == 0
        assert queue.run() == {}
        old = app.tasks["kept.add"].delay(1, 2)
        assert old.get() == 3
    with TaskQueue(app):
        assert app.AsyncResult(old.id).state == "PENDING"
        with pytest.raises((MisusedQueue, ResultUnavailable)):
            old.backend.wait_for("another id")


@pytest.mark.parametrize("when", ["before_body", "after_body"])
def test_a_killed_worker_is_not_used_again(app, when):
    first = use(app)
    with TaskQueue(app) as queue:
        queue.kill_worker(when)
        app.tasks["kept.add"].delay(1, 2)
        queue.run()
    assert is_kept(app, first) == NEW


def test_a_worker_that_was_killed_and_has_work_left(app):
    app.conf.task_acks_late = True
    with TaskQueue(app, profile="redis") as queue:
        queue.kill_worker("before_body")
        app.tasks["kept.add"].delay(1, 2)
        queue.run()
    with TaskQueue(app, profile="redis") as queue:
        assert queue.run_until_idle() == {}


def test_an_endless_loop_ends_the_worker(app):
    first = use(app)
    with TaskQueue(app) as queue:
        app.tasks["kept.again"].delay(0)
        with pytest.raises(EndlessLoop):
            queue.run(limit=5)
        assert len(queue) > 0
    with TaskQueue(app) as queue:
        assert len(queue) == 0
        assert queue.run() == {}
    assert is_kept(app, first) == NEW


def test_a_test_that_fails_half_way(app):
    first = use(app)

    def fail():
        with TaskQueue(app) as queue:
            app.tasks["kept.fail"].delay()
            app.tasks["kept.add"].delay(1, 2)
            queue.run()

    with pytest.raises(ZeroDivisionError):
        fail()
    with TaskQueue(app) as queue:
        assert (len(queue), queue.failures, queue.run(), queue.reserved()) == (0, [], {}, [])
    assert is_kept(app, first) == KEPT


@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.fail.Exception])
def test_a_body_that_ends_the_test(app, error):
    first = use(app)

    @app.task(name="kept.ends", shared=False)
    def ends():
        raise error("timeout")

    def run():
        with TaskQueue(app) as queue:
            ends.delay()
            queue.run()

    with pytest.raises(error):
        run()
    assert is_kept(app, first) == NEW
    with TaskQueue(app) as queue:
        assert (len(queue), queue.run()) == (0, {})


def test_a_crash_of_the_worker_itself(app, monkeypatch):
    first = use(app)
    with TaskQueue(app) as queue, monkeypatch.context() as patch:
        patch.setattr("celery.concurrency.base.BasePool.apply_async", lambda *args, **kwargs: 1 / 0)
        app.tasks["kept.add"].delay(1, 2)
        with pytest.raises(ZeroDivisionError):
            queue.run()
    assert is_kept(app, first) == NEW


def test_what_is_held_for_its_eta_does_not_stay(app):
    first = use(app)
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].apply_async((1, 2), countdown=60)
        queue.run()
        assert len(queue.reserved()) == 1
    with TaskQueue(app) as queue:
        assert queue.run_until_idle() == {}
        assert queue.reserved() == []
    assert is_kept(app, first) == KEPT


def test_the_prefetch_count_of_an_eta_does_not_stay(app):
    app.conf.worker_prefetch_multiplier = 1
    app.conf.worker_concurrency = 1
    app.tasks["kept.add"].acks_late = True
    first = use(app)
    with TaskQueue(app) as queue:
        for _ in range(3):
            app.tasks["kept.add"].apply_async((1, 2), countdown=60)
        queue.run()
        assert len(queue.reserved()) == 3
    with TaskQueue(app) as queue:
        for _ in range(3):
            app.tasks["kept.add"].delay(1, 2)
        queue._driver.engine.wake()
        with queue._driver.engine.guard():
            queue._driver.engine.settle()
        assert parts(queue) == first
        assert len(queue.reserved()) == 1


def test_remote_control_does_not_stay(app):
    first = use(app)
    with TaskQueue(app) as queue:
        app.control.revoke("an-id")
        app.control.rate_limit("kept.add", "1/m")
        app.control.add_consumer("extra")
        app.control.time_limit("kept.add", soft=1, hard=2)
        app.control.pool_grow(3)
        assert app.control.inspect().active_queues()["worker@backchannel"][-1]["name"] == "extra"
        queue.run()
    assert app.tasks["kept.add"].rate_limit is None
    assert is_kept(app, first) == NEW
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].apply_async((1, 2), task_id="an-id")
        app.tasks["kept.add"].delay(1, 2)
        assert queue.run() == {"SUCCESS": 2}
        assert app.control.inspect().revoked() == {"worker@backchannel": []}
        assert [q["name"] for q in app.control.inspect().active_queues()["worker@backchannel"]] == ["celery"]


def test_what_celery_keeps_of_all_workers_does_not_stay(app):
    first = use(app)
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].delay(1, 2)
        queue.run()
        worker_state.revoked.add("an-id")
        assert sum(worker_state.total_count.values()) == 1
    assert "an-id" not in worker_state.revoked
    assert sum(worker_state.total_count.values()) == 0
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].apply_async((1, 2), task_id="an-id")
        assert queue.run() == {"SUCCESS": 1}
        assert parts(queue) == first


def test_a_rate_limit_is_that_of_the_running_test(app, monkeypatch):
    first = use(app)
    add = app.tasks["kept.add"]
    with monkeypatch.context() as patch:
        patch.setattr(add, "rate_limit", "1/m")
        for _ in range(2):
            with TaskQueue(app) as queue:
                add.delay(1, 2), add.delay(1, 2)
                assert queue.run() == {"SUCCESS": 1}
                assert queue.advance(61) == {"SUCCESS": 1}
    with TaskQueue(app) as queue:
        add.delay(1, 2), add.delay(1, 2)
        assert queue.run() == {"SUCCESS": 2}
        assert parts(queue) == first


@pytest.mark.parametrize("moment", ["before the queue", "in the body", "between publishing and running"])
def test_a_changed_setting_holds_and_does_not_stay(app, moment):
    first = use(app)
    before = dict(app.conf.changes)

    def change():
        app.conf.worker_prefetch_multiplier = 7

    for _ in range(2):
        if moment == "before the queue":
            change()
        with TaskQueue(app) as queue:
            if moment == "in the body":
                change()
            app.tasks["kept.add"].delay(1, 2)
            if moment == "between publishing and running":
                change()
            queue.run()
            worker = queue._driver.engine.workers["worker"]
            assert worker.consumer.prefetch_multiplier == 7
    app.conf.changes.clear()
    app.conf.changes.update(before)
    after = use(app)
    assert after.controller is not first.controller
    assert after.controller.consumer.prefetch_multiplier == 4
    assert is_kept(app, after) == KEPT


def test_a_route_and_a_serialiser_of_one_test(app, monkeypatch):
    use(app)
    with monkeypatch.context() as patch:
        patch.setitem(app.conf.changes, "task_routes", {"kept.add": {"queue": "special"}})
        patch.setitem(app.conf.changes, "task_serializer", "yaml")
        with TaskQueue(app) as queue:
            app.tasks["kept.add"].delay(1, 2)
            assert queue[0].queue == "special"
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].delay(1, 2)
        assert queue[0].queue == "celery"


def test_a_setting_that_is_changed_in_place(app):
    app.conf.task_routes = {"kept.add": {"queue": "one"}}
    use(app)
    app.conf.task_routes["kept.add"]["queue"] = "two"
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].delay(1, 2)
        assert queue[0].queue == "two"


def test_a_queue_that_is_changed_in_place(app):
    app.conf.task_queues = [Queue("one", queue_arguments={"x-max-length": 5})]
    app.conf.task_default_queue = "one"
    use(app)
    app.conf.task_queues[0].queue_arguments["x-max-length"] = 1
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].delay(1, 2)
        app.tasks["kept.add"].delay(1, 2)
        assert len(queue) == 1


class Module:
    task_routes = None


def test_settings_of_a_class_are_seen(app, monkeypatch):
    app = Celery("of a class", set_as_current=False)
    app.config_from_object(Module)

    @app.task(name="kept.add", shared=False)
    def add(x, y):
        return x + y

    first = use(app)
    assert is_kept(app, first) == KEPT
    monkeypatch.setattr(Module, "task_routes", {"kept.add": "routed"})
    with TaskQueue(app) as queue:
        add.delay(1, 2)
        assert queue[0].queue == "routed"
    app.close()


def test_settings_that_can_not_be_compared_keep_nothing():
    class Computed:
        @property
        def task_default_queue(self):
            return "computed"

    app = Celery("computed", set_as_current=False)
    app.config_from_object(Computed())

    @app.task(name="kept.add", shared=False)
    def add(x, y):
        return x + y

    assert is_kept(app, use(app)) == NEW
    app.close()


def test_a_router_of_the_project_is_made_anew(app):
    app.conf.task_routes = f"{__name__}.Router"
    assert is_kept(app, use(app)) == NEW
    app.conf.task_routes = [Router()]
    assert is_kept(app, use(app)) == KEPT


class Router:
    def route_for_task(self, *args, **kwargs):
        return None


def test_a_new_task_is_known_and_a_removed_one_is_not(app):
    first = use(app)

    @app.task(name="kept.new", shared=False, rate_limit="1/m")
    def new():
        return "new"

    with TaskQueue(app) as queue:
        new.delay(), new.delay()
        assert queue.run() == {"SUCCESS": 1}
    second = use(app)
    assert second.controller is not first.controller
    del app.tasks["kept.new"]
    with TaskQueue(app) as queue:
        app.send_task("kept.new")
        assert queue.run(propagate=False) == {"FAILURE": 1}


def test_a_task_that_is_changed(app, monkeypatch):
    first = use(app)
    add = app.tasks["kept.add"]
    with monkeypatch.context() as patch:
        patch.setattr(add, "run", lambda x, y: 99)
        patch.setattr(add, "acks_late", True)
        with TaskQueue(app) as queue:
            add.delay(1, 2)
            queue.run()
            assert queue.succeeded[0].result == 99
    assert is_kept(app, first) == KEPT


def test_a_queue_that_is_declared_nowhere_does_not_stay(app):
    first = use(app)
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].apply_async((1, 2), queue="rare")
        assert queue.run() == {"SUCCESS": 1}
    assert is_kept(app, first) == KEPT
    with TaskQueue(app) as queue:
        queue.run()
        assert set(app.amqp.queues) == {"celery"}
        assert not queue._driver.engine.workers["worker"].consumes("rare")
        app.tasks["kept.add"].apply_async((1, 2), queue="rare")
        assert queue.run() == {"SUCCESS": 1}


def test_a_queue_that_a_test_adds(app):
    use(app)
    with TaskQueue(app):
        app.amqp.queues.add(Queue("added"))
        app.tasks["kept.add"].delay(1, 2)
    with TaskQueue(app):
        app.tasks["kept.add"].delay(1, 2)
        assert set(app.amqp.queues) == {"celery"}


def test_a_refused_message_does_not_spoil_the_next_test(app):
    use(app)
    with TaskQueue(app) as queue:
        queue.refuse_publish(2)
        for _ in range(2):
            with pytest.raises(Exception, match="refused"):
                app.tasks["kept.add"].delay(1, 2)
    use(app)


def test_a_connection_that_a_test_leaves_open_reaches_no_other_test(app):
    first = use(app)
    with TaskQueue(app):
        connection = app.connection_for_write()
        connection.default_channel  # noqa: B018
    with TaskQueue(app) as queue:
        with connection.Producer() as producer:
            producer.publish("late", routing_key="celery")
        assert len(queue) == 0
    assert is_kept(app, first) == NEW


def test_a_thread_that_holds_a_producer_reaches_no_other_test(app):
    use(app)
    held, go, done = threading.Event(), threading.Event(), []

    def publish():
        with app.amqp.producer_pool.acquire() as producer:
            held.set()
            go.wait(10)
            app.tasks["kept.add"].apply_async((1, 2), producer=producer)
        done.append(True)

    with TaskQueue(app):
        thread = threading.Thread(target=publish)
        thread.start()
        assert held.wait(10)
    with TaskQueue(app) as queue:
        app.tasks["kept.add"].delay(3, 4)
        go.set()
        thread.join(10)
        assert done
        assert len(queue) == 1


def test_receivers_are_called_and_gone(app):
    use(app)
    heard = []

    def hear(signal=None, **kwargs):
        heard.append(signal.name)

    wanted = (signals.before_task_publish, signals.task_prerun, signals.task_received)
    for signal in wanted:
        signal.connect(hear)
    use(app)
    for signal in wanted:
        signal.disconnect(hear)
    assert sorted(heard) == ["before_task_publish", "task_prerun", "task_received"]
    use(app)
    assert len(heard) == 3


def test_what_is_patched_in_celery_holds_for_the_worker_that_starts(app, monkeypatch):
    first = use(app)
    seen = []
    original = bootsteps.Blueprint.start
    with monkeypatch.context() as patch:
        patch.setattr(bootsteps.Blueprint, "start", lambda *args: (seen.append(1), original(*args))[1])
        assert is_kept(app, first) == NEW_WORKER
    assert seen


def test_boot_steps_of_the_project_run_for_each_test(app):
    started = []

    class Step(bootsteps.Step):
        def __init__(self, parent, **kwargs):
            started.append(parent)
            super().__init__(parent, **kwargs)

    app.steps["worker"].add(Step)
    first = use(app)
    assert is_kept(app, first) == NEW_WORKER
    assert len(started) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_builds_its_own(app):
    first = use(app)
    child = os.fork()
    if not child:
        os._exit(0 if is_kept(app, first) == NEW else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_queue_within_a_queue_of_the_same_app(app):
    first = use(app)
    with TaskQueue(app) as outer:
        app.tasks["kept.add"].delay(1, 2)
        with TaskQueue(app) as inner:
            app.tasks["kept.add"].delay(1, 2)
            assert (len(outer), len(inner)) == (1, 1)
            assert inner.run() == {"SUCCESS": 1}
        assert outer.run() == {"SUCCESS": 1}
        assert parts(outer) == first
    assert is_kept(app, first) == KEPT


def test_an_app_is_not_kept_alive():
    app = Celery("short lived", set_as_current=False)

    @app.task(name="kept.add", shared=False)
    def add(x, y):
        return x + y

    use(app)
    gone = weakref.ref(app)
    app.close()
    del app, add
    begin_log()  # the records of what was enqueued know it
    gc.collect()
    assert gone() is None


def test_a_snapshot_tells_what_has_changed():
    queue = Queue("one", queue_arguments={"x-max-length": 5})
    snapshot = Snapshot([queue])
    assert snapshot.is_same()
    queue.queue_arguments["x-max-length"] = 6
    assert not snapshot.is_same()
    assert snapshot.differences() == ["Queue.queue_arguments.x-max-length"]
    snapshot.put_back([queue.queue_arguments])
    assert snapshot.is_same()
    exchange, queue.exchange = queue.exchange, Exchange(queue.exchange.name, type=queue.exchange.type)
    assert queue.exchange == exchange
    assert not snapshot.is_same()
    assert snapshot.differences() == ["Queue.exchange"]
