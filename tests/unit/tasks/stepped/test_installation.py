"""Nothing of the app, of Celery or of kombu is changed once the queue has ended."""

from __future__ import annotations

import gc
import os
import threading

import pytest
import stepped_tasks as t
from celery import Celery, _state, signals
from celery.result import task_join_will_block
from celery.worker import state as worker_state
from kombu import Connection, pools

from pytest_backchannel.clock.virtual import active_clock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.eager import EagerMode
from pytest_backchannel.tasks.queue import TaskQueue

TASK_SETTINGS = ("acks_late", "ignore_result", "serializer", "track_started", "rate_limit")
TASK_SETTINGS += ("time_limit", "soft_time_limit")
SIGNALS = [name for name in vars(signals) if hasattr(getattr(signals, name), "receivers")]


@pytest.fixture(autouse=True)
def fresh():
    begin_log()


def state_of(app):
    """Everything that a task queue touches, or could."""
    conf = app.conf
    return {
        "settings": {key: repr(conf.get(key)) for key in sorted(conf) if not key.startswith("__")},
        "changes": dict(conf.changes),
        "observers": list(conf._observers),
        "app": {name: id(value) for name, value in vars(app).items() if name not in ("finalized", "clock")},
        "backend": (app._backend_cache, getattr(app._local, "backend", None)),
        "tasks": {
            name: ([getattr(task, setting) for setting in TASK_SETTINGS], vars(task).get("__trace__"))
            for name, task in app.tasks.items()
        },
        "pools": ([*dict.keys(pools.connections)], [*dict.keys(pools.producers)], pools.get_limit()),
        "connection": Connection._establish_connection,
        "signals": {name: len(getattr(signals, name).receivers or ()) for name in SIGNALS},
        "worker": (
            dict(worker_state.requests),
            dict(worker_state.total_count),
            list(worker_state.revoked),
            len(worker_state.reserved_requests),
            len(worker_state.active_requests),
        ),
        "join": task_join_will_block(),
        "current": (_state._tls.current_app, _state.default_app),
        "clock": active_clock(),
        "threads": {thread.name for thread in threading.enumerate()},
        "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
    }


def use(**options):
    with TaskQueue(t.app, **options) as queue:
        t.add.delay(1, 1)
        t.late.apply_async((1,), countdown=5)
        result = t.flaky.delay()
        t.app.control.revoke("some-id")
        t.app.control.rate_limit(t.add.name, "1/m")
        t.app.control.time_limit(t.add.name, soft=3, hard=5)
        queue.kill_worker(task=t.late)
        queue.run_until_idle(propagate=False)
        assert result.state == "SUCCESS"


@pytest.fixture
def settled():
    """The app after a first use: what is bound and imported once stays so, as in any process that uses Celery."""
    t.app.finalize()
    use()
    gc.collect()


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
@pytest.mark.parametrize("backend", ["redis", "cache", "disabled"])
def test_everything_is_as_before(settled, profile, backend):
    before = state_of(t.app)
    if backend != "disabled":
        use(profile=profile, result_backend=backend)
    else:
        with TaskQueue(t.app, profile=profile, result_backend=backend) as queue:
            t.add.delay(1, 1)
            queue.run()
    assert state_of(t.app) == before


@pytest.mark.parametrize("use_app", [TaskQueue, lambda app: EagerMode()], ids=["task_queue", "celery_eager"])
def test_what_a_project_adds_when_its_app_is_configured_finds_its_tasks(use_app):
    app = Celery("periodic", broker="memory://", set_as_current=False)

    @app.task(shared=False, name="periodic.ping")
    def ping():
        return "pong"

    @app.on_after_configure.connect
    def schedule(sender, **kwargs):
        # As a shared task does, when it is first used.
        sender.add_periodic_task(10.0, sender.tasks["periodic.ping"].s(), name="every ten seconds")

    with use_app(app):
        assert ping.delay() is not None
    assert [*app.conf.beat_schedule] == ["every ten seconds"]


def test_everything_is_as_before_a_first_use_too():
    app = Celery("untouched", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1", set_as_current=False)

    @app.task(shared=False)
    def one():
        return 1

    app.conf.task_always_eager = True
    with TaskQueue(app) as queue:
        assert app.conf.task_always_eager is False
        one.delay()
        queue.run()
    assert app.conf.task_always_eager is True
    assert app.conf.broker_url == "redis://127.0.0.1:1/0"
    assert app.conf.result_backend == "redis://127.0.0.1:1/1"
    assert type(app.backend).__name__ == "RedisBackend"
    assert type(app.backend).__module__ == "celery.backends.redis"
    assert one.delay().get() == 1
    assert "__trace__" not in vars(one) or "worker@backchannel" not in repr(one.__trace__)
    app.close()


def test_a_lazy_configuration_is_loaded_before_it_is_changed():
    class Settings:
        task_always_eager = True
        broker_url = "redis://127.0.0.1:1/0"

    app = Celery("lazy", set_as_current=False)
    app.config_from_object(Settings)
    with TaskQueue(app):
        assert app.conf.task_always_eager is False
    assert app.conf.task_always_eager is True
    assert "task_always_eager" not in app.conf.changes
    app.close()


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"])
def test_the_environment_does_not_lead_to_a_real_server(settled, monkeypatch, name):
    monkeypatch.setenv(name, "redis://127.0.0.1:1/9")
    with TaskQueue(t.app):
        assert t.add.delay(1, 1).get() == 2


def test_everything_is_as_before_after_an_error(settled, monkeypatch):
    before = state_of(t.app)

    def break_off():
        with TaskQueue(t.app):
            t.add.delay(1, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert state_of(t.app) == before

    def break_the_worker():
        with TaskQueue(t.app, queues=["celery"]) as queue:
            monkeypatch.setattr("celery.worker.components.Pool.create", lambda *args: 1 / 0)
            t.add.delay(1, 1)
            queue.run()

    with pytest.raises(ZeroDivisionError):
        break_the_worker()
    monkeypatch.undo()
    assert state_of(t.app) == before


def test_a_queue_inside_of_another_apps_queue(settled):
    other = Celery("other", broker="redis://127.0.0.1:1/0", set_as_current=False)

    @other.task(shared=False)
    def two():
        return 2

    with TaskQueue(t.app) as mine, TaskQueue(other) as theirs:
        two.delay()
        t.add.delay(1, 1)
        assert (len(mine), len(theirs)) == (1, 1)
        assert theirs.run() == {"SUCCESS": 1}
        assert mine.run() == {"SUCCESS": 1}
    other.close()


def test_the_life_cycle_signals_of_a_worker_are_not_sent(settled):
    heard = []

    def hear(**kwargs):
        heard.append(kwargs)

    for signal in (signals.worker_init, signals.worker_process_init, signals.worker_ready, signals.worker_shutdown):
        signal.connect(hear)
    try:
        use()
    finally:
        for signal in (signals.worker_init, signals.worker_process_init, signals.worker_ready, signals.worker_shutdown):
            signal.disconnect(hear)
    assert heard == []


def kept():
    """How many of our own objects are alive."""
    begin_log()
    t.runs.clear()
    gc.collect()
    names = (str(getattr(type(thing), "__module__", "")) for thing in gc.get_objects())
    return sum(name.startswith("pytest_backchannel.tasks") for name in names)


@pytest.mark.slow
def test_a_thousand_uses_leave_nothing_behind(settled):
    def once():
        begin_log()
        with TaskQueue(t.app) as queue:
            t.add.delay(1, 1)
            assert queue.run() == {"SUCCESS": 1}

    once()
    before, objects = state_of(t.app), kept()
    for _ in range(1000):
        once()
    assert kept() <= objects
    assert state_of(t.app) == before
