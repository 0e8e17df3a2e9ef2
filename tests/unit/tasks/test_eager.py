"""Eager mode on apps of every kind: what runs, what is refused, and what is as before afterwards."""

from __future__ import annotations

import datetime as dt
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import Retry
from kombu import Connection, pools

from pytest_backchannel.errors import (
    AsyncTaskFunction,
    BackchannelError,
    NotSerialisable,
    RealBrokerContacted,
    UnknownTask,
)
from pytest_backchannel.events import Problem, begin_log, end_log
from pytest_backchannel.tasks import eager as eager_module
from pytest_backchannel.tasks.eager import EagerMode
from pytest_backchannel.tasks.eager_records import CalledEagerly, EndedEagerly

# A port where nothing listens, and a password that must not be shown.
BROKER = "redis://user:s3cret@127.0.0.1:1/0"


class Thing:
    pass


def make_app(name="eager", **conf):
    app = Celery(name, broker=BROKER, backend="redis://127.0.0.1:1/1", set_as_current=False)
    app.conf.update(**conf)

    @app.task(name="t.add", shared=False)
    def add(x, y=1):
        return x + y

    @app.task(name="t.total", shared=False)
    def total(numbers):
        return sum(numbers)

    @app.task(name="t.echo", shared=False)
    def echo(value):
        return value

    @app.task(name="t.kind", shared=False)
    def kind(value):
        return type(value).__name__

    @app.task(name="t.thing", shared=False)
    def thing():
        return {"deep": [1, Thing()]}

    @app.task(name="t.quiet", ignore_result=True, shared=False)
    def quiet():
        return Thing()

    @app.task(name="t.fail", shared=False)
    def fail():
        raise ValueError("broken")

    @app.task(name="t.retrying", bind=True, max_retries=3, shared=False)
    def retrying(self):
        raise self.retry(countdown=10)

    @app.task(name="t.asynchronous", shared=False)
    async def asynchronous():
        return 1

    @app.task(name="t.outer", shared=False)
    def outer():
        add.delay(1, 2)
        return "done"

    return app


@pytest.fixture(scope="module")
def app():
    app = make_app()
    yield app
    app.close()


@pytest.fixture(autouse=True)
def log():
    yield begin_log()
    end_log()


@pytest.fixture
def t(app):
    return SimpleNamespace(**{name[2:]: task for name, task in app.tasks.items() if name.startswith("t.")})


@pytest.fixture
def eager():
    with EagerMode() as mode:
        yield mode


# -------------------------------------------------------------------- what runs


def test_delay_and_by_name(app, t, eager):
    assert t.add.delay(1, 2).get() == 3
    assert t.add.apply_async((1,), {"y": 4}, countdown=60, queue="nowhere").get() == 5
    assert app.send_task("t.add", (1, 2)).get() == 3
    assert app.send_task("t.add", args=[1], kwargs={"y": 2}, countdown=10, queue="x").get() == 3
    assert app.send_task("t.add", [1, 2], {}, 10, None, "chosen-id").id == "chosen-id"
    assert app.signature("t.add", (1, 2)).delay().get() == 3
    assert app.signature("t.add", (1,)).apply_async((2,)).get() == 3


def test_canvas(t, eager):
    assert chain(t.add.s(1, 2), t.add.s(3)).apply_async().get() == 6
    assert group(t.add.s(1, 1), t.add.s(2, 2)).apply_async().get() == [2, 4]
    assert chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s()).apply_async().get() == 6
    assert (group(t.add.s(1, 1), t.add.s(2, 2)) | t.total.s() | t.add.s(10)).delay().get() == 16
    assert t.add.chunks([(1, 1), (2, 2)], 1).apply_async().get() == [[2], [4]]
    assert list(t.echo.map([1, 2]).delay().get()) == [1, 2]


@pytest.mark.parametrize("backend", [None, "disabled://", "rpc://", "cache+memory://", "redis://127.0.0.1:1/1"])
def test_canvas_with_any_result_backend(backend):
    app = make_app(result_backend=backend)
    app.backend_cls = None
    add, total = app.tasks["t.add"], app.tasks["t.total"]
    with EagerMode():
        assert (add.s(1, 2) | add.s(3)).delay().get() == 6
        assert chord([add.s(1, 1), add.s(2, 2)], total.s()).delay().get() == 6
        assert group(add.s(1, 1)).delay().get() == [2]
    app.close()


def test_a_failure_and_a_retry_raise(t, eager):
    with pytest.raises(ValueError, match="broken"):
        t.fail.delay()
    with pytest.raises(ValueError, match="broken"):
        chain(t.add.s(1), t.fail.si()).apply_async()
    with pytest.raises(Retry):
        t.retrying.delay().get()


def test_a_task_within_a_task(t, eager):
    assert t.outer.delay().get() == "done"


def test_every_app_of_the_process_also_one_that_is_made_meanwhile(t):
    before = make_app("before")
    with EagerMode():
        meanwhile = make_app("meanwhile")
        reconfigured = make_app("reconfigured")
        reconfigured.config_from_object({"timezone": "UTC"})
        for app in (before, meanwhile, reconfigured):
            assert app.tasks["t.add"].delay(1, 2).get() == 3
            assert app.conf.task_eager_propagates is True
    for app in (before, meanwhile, reconfigured):
        assert app.conf.task_always_eager is False
        assert app.conf.task_eager_propagates is False
        app.close()


def test_where_the_setting_was_assigned():
    app = make_app()
    app.conf.task_always_eager = False
    app.conf.task_eager_propagates = False
    with EagerMode():
        assert app.tasks["t.add"].delay(1, 2).get() == 3
        with pytest.raises(ValueError, match="broken"):
            app.tasks["t.fail"].delay()
    assert app.conf.changes["task_always_eager"] is False
    assert app.conf.changes["task_eager_propagates"] is False
    app.close()


@pytest.mark.allow_lost("real_broker")
def test_a_test_may_say_otherwise(app, t, eager):
    app.conf.task_eager_propagates = False
    assert t.fail.delay().state == "FAILURE"
    app.conf.task_always_eager = False
    with pytest.raises(RealBrokerContacted):
        t.add.apply_async((1,), retry=False)


def test_results_that_are_stored_stay_in_memory_and_apart():
    app = make_app(task_store_eager_result=True)
    with EagerMode():
        app.tasks["t.add"].apply_async((1, 2), task_id="same")
        assert app.AsyncResult("same").get(timeout=1) == 3
    with EagerMode():
        assert app.AsyncResult("same").state == "PENDING"
    app.close()


# --------------------------------------------------------------- what is refused


@pytest.mark.allow_lost("real_broker")
def test_a_real_broker_is_out_of_reach(app, t, eager, log):
    attempts = {
        "control": lambda: app.control.revoke("x"),
        "inspect": lambda: app.control.inspect(timeout=0.1).ping(),
        "connection": lambda: app.connection_for_write().connect(),
        "pool": lambda: app.pool.acquire(block=True).default_channel,
        "own": lambda: Connection(BROKER).connect(),
    }
    for name, attempt in attempts.items():
        with pytest.raises(RealBrokerContacted) as refused:
            attempt()
        text = str(refused.value)
        assert "redis://user:**@127.0.0.1:1/0" in text, name
        assert "s3cret" not in text
        assert "test_eager.py:" in text
        assert "task_queue" in text
    problems = log.of(Problem)
    assert [problem.slug for problem in problems] == ["real_broker"] * len(attempts)
    assert all(problem.where is not None and problem.where.path == __file__ for problem in problems)


def test_a_broker_in_memory_may_be_reached(eager):
    app = make_app(broker_url="memory://")
    app.control.revoke("x")
    app.close()


def test_an_open_connection_in_a_pool_is_not_used(monkeypatch):
    app = make_app(broker_url="memory://")
    with app.pool.acquire(block=True) as connection:
        connection.connect()
    held = app.pool
    with EagerMode():
        assert app.pool is not held
    assert app.pool is held
    app.close()


def test_a_name_that_nobody_registers(app, eager):
    for call in (lambda: app.send_task("t.ad", (1,)), lambda: app.signature("t.ad").delay()):
        with pytest.raises(UnknownTask, match=r"send_task\('t.ad'\): no task .* Did you mean 't.add'\?"):
            call()


def test_a_module_that_only_a_worker_imports_is_imported(tmp_path, monkeypatch):
    (tmp_path / "only_worker_tasks.py").write_text(
        "from celery import shared_task\n\n@shared_task(name='late.task')\ndef late():\n    return 'late'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    app = make_app(imports=["only_worker_tasks"])
    with EagerMode():
        assert app.send_task("late.task").get() == "late"
    app.close()


def test_arguments_that_a_message_can_not_carry(t, eager):
    cases = {
        r"t.echo is called with value\['lines'\]\[1\] = <.*Thing object.* \(Thing\), which .*'json' can't encode": (
            t.echo.s({"lines": [1, Thing()]})
        ),
        r"t.kind is called with value = <.*Thing": chain(t.echo.s(1), t.kind.si(Thing())),
        r"t.add is called with y = <.*Thing": group(t.add.s(1, y=Thing())),
    }
    for text, signature in cases.items():
        with pytest.raises(NotSerialisable, match=text):
            signature.apply()
    with pytest.raises(NotSerialisable, match=r"value = <.*Thing"):
        t.echo.apply((Thing(),))
    with pytest.raises(NotSerialisable, match=r"value, key \(1, 2\)"):
        t.echo.apply(({(1, 2): 3},))


def test_a_step_gets_what_a_worker_would_get(t, eager):
    assert chain(t.echo.s([1]), t.kind.s()).apply_async().get() == "list"
    assert chain(t.add.si(1, 2), t.kind.si((1, 2))).apply_async().get() == "list"
    assert t.kind.delay((1, 2)).get() == "list"


def test_a_result_that_can_not_be_stored(t, eager):
    with pytest.raises(NotSerialisable, match=r"t.thing returned result\['deep'\]\[1\] = <.*\(Thing\)"):
        t.thing.delay()
    assert isinstance(t.quiet.delay().get(), Thing)


def test_results_that_celery_knows_how_to_store(t, eager):
    for value in (None, dt.datetime(2030, 1, 1, tzinfo=dt.UTC), dt.date(2030, 1, 1), [1, {"a": "b"}]):
        assert t.echo.apply((value,)).get() == value


def test_content_that_workers_do_not_accept(t, eager):
    with pytest.raises(
        NotSerialisable, match=r"(?s)'pickle' .*accept_content = \['json'\] does not.*ContentDisallowed"
    ):
        t.add.apply_async((1,), serializer="pickle")
    app = make_app(task_serializer="pickle", result_serializer="pickle", accept_content=["pickle"])
    assert isinstance(app.tasks["t.echo"].delay(Thing()).get(), Thing)
    app.conf.result_accept_content = ["json"]
    with pytest.raises(NotSerialisable, match="its result is serialised with 'pickle'"):
        app.tasks["t.add"].delay(1)
    app.close()


def test_an_async_function(t, eager):
    with pytest.raises(AsyncTaskFunction, match=r"t.asynchronous is async def: .* async_to_sync"):
        t.asynchronous.delay()


def test_one_at_a_time(eager):
    with pytest.raises(BackchannelError, match="active already"), EagerMode():
        pass
    assert eager_module._active.value is eager


# ------------------------------------------------------------------- the story


def test_the_story(t, eager, log):
    t.outer.delay()
    with pytest.raises(ValueError, match="broken"):
        t.fail.delay()
    with pytest.raises(Retry):
        t.retrying.delay()
    outer, add, *_ = log.of(CalledEagerly)
    assert (outer.cause, add.cause) == (None, outer.id)
    assert outer.headline() == "ran t.outer(), eagerly"
    assert outer.where is not None
    assert outer.where.function == "test_the_story"
    assert add.where is not None
    assert add.where.function.endswith("outer")
    assert [event.headline() for event in log.of(EndedEagerly)] == [
        "SUCCESS 3",
        "SUCCESS 'done'",
        "FAILURE ValueError: broken",
        "RETRY Retry in 10s",
    ]
    assert [event.broke for event in log.of(EndedEagerly)] == [False, False, True, False]


# ---------------------------------------------------------------- as it was before


def state_of(app):
    own = vars(app)
    return {
        "changes": dict(app.conf.changes),
        "own": {name: own.get(name, "missing") for name in ("_pool", "_backend_cache", "_local", "_get_backend")},
        "producers": own["amqp"]._producer_pool if "amqp" in own else "missing",
        "tasks": {
            name: {attribute: getattr(task, attribute) for attribute, _ in task.from_config}
            for name, task in app.tasks.items()
        },
        "methods": (vars(Celery)["send_task"], vars(type(app.tasks["t.add"]).__mro__[-2])["apply"]),
        "connection": vars(Connection)["_establish_connection"],
        "pools": (dict(pools.connections), dict(pools.producers), pools._limit[0]),
        "receivers": len(app.on_after_configure.receivers or ()),
    }


@pytest.mark.parametrize("used", [False, True])
def test_everything_is_as_before_also_after_a_failure(used):
    app = make_app(broker_url="memory://", result_backend="cache+memory://")
    app.backend_cls = None
    assert app.tasks["t.add"].backend is app.backend  # bound late, so that it is there to be put back
    if used:
        app.tasks["t.add"].delay(1)
    before = state_of(app)
    backend = app.backend

    def use():
        with EagerMode():
            app.tasks["t.add"].delay(1)
            app.tasks["t.fail"].delay()

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            use()
    assert state_of(app) == before
    assert app.backend is backend
    assert eager_module._active.value is None
    app.close()


def test_a_lazy_configuration_is_loaded_before_anything_is_changed():
    app = Celery("lazy", set_as_current=False)
    app.config_from_object({"task_acks_late": True, "broker_url": BROKER})

    @app.task(name="t.lazy", shared=False)
    def lazy():
        return lazy.acks_late

    with EagerMode():
        assert lazy.delay().get() is True
    assert app.conf.task_always_eager is False
    assert app.conf.changes.get("task_always_eager", "missing") == "missing"
    app.close()


def test_an_app_whose_configuration_can_not_be_loaded_does_not_stop_the_others(t):
    broken = Celery("broken", set_as_current=False)
    broken.config_from_object("no_such_module_anywhere")
    with EagerMode():
        assert t.add.delay(1, 2).get() == 3
    broken.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no list of open files here")
def test_no_file_stays_open(t):
    def use():
        with EagerMode():
            t.add.delay(1, 2)
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # what an earlier test has left closes now, and not in between
    before = use()
    assert [use() for _ in range(5)] == [before] * 5
