"""What one test does in eager mode is not seen by the next one, though they share a pool where nothing has changed."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import threading
import weakref

import pytest
from celery import Celery
from celery.backends.cache import CacheBackend
from kombu import Connection, pools

from pytest_backchannel.errors import RealBrokerContacted
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.eager import EagerMode

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("BACKCHANNEL_TEST_ANEW")), reason="nothing is kept in this run (make test-anew)"
)


@pytest.fixture(autouse=True)
def fresh():
    begin_log()


def make_app(broker="redis://127.0.0.1:1/0", name="kept eager"):
    app = Celery(name, broker=broker, backend="redis://127.0.0.1:1/1", set_as_current=False)
    app.conf.broker_transport_options = {"visibility_timeout": 60}

    @app.task(name="kept.add", shared=False)
    def add(x, y):
        return x + y

    @app.task(name="kept.fail", shared=False)
    def fail():
        raise ZeroDivisionError

    app.finalize()
    return app


@pytest.fixture
def app():
    app = make_app()
    yield app
    app.close()


def use(app, **options):
    """One ordinary test, and the pool that its call has used."""
    with EagerMode(**options):
        assert app.tasks["kept.add"].delay(1, 2).get() == 3
        return app.amqp.producer_pool


def test_an_ordinary_test_leaves_its_pool_to_the_next(app):
    first = use(app)
    assert all(use(app) is first for _ in range(3))
    assert not first._closed


def test_an_app_that_was_used_before_has_its_own_pool_again(app):
    own = app.amqp.producer_pool
    first = use(app)
    assert first is not own
    assert app.amqp.producer_pool is own
    assert use(app) is first
    assert (app.amqp.producer_pool, app.pool) == (own, own.connections)


def test_without_reuse_it_is_made_anew(app):
    first = use(app)
    other = use(app, reuse=False)
    assert other is not first
    assert other._closed
    assert use(app) is first


def test_between_two_tests_nothing_is_in_place(app):
    before = dict(pools.connections), dict(pools.producers), pools._limit[0]
    use(app)
    assert (dict(pools.connections), dict(pools.producers), pools._limit[0]) == before
    assert app._pool is None
    assert "amqp" not in vars(app)


def test_a_test_without_a_call_takes_nothing(app):
    first = use(app)
    with EagerMode():
        assert app._pool is None
    assert use(app) is first


# ------------------------------------------------------------------------ results


def test_results_are_of_one_test(app):
    app.conf.task_store_eager_result = True
    with EagerMode():
        first = app.backend
        first.store_result("an id", 3, "SUCCESS")
        assert first.get_state("an id") == "SUCCESS"
    with EagerMode():
        assert app.backend is not first
        assert app.backend.get_state("an id") == "PENDING"
        assert vars(app.backend).keys() == vars(first).keys()


def test_the_backend_has_the_settings_of_its_test(app, monkeypatch):
    for expires in (60, 60, 90):
        monkeypatch.setitem(app.conf.changes, "result_expires", expires)
        with EagerMode():
            assert app.backend.expires == expires


def test_a_backend_that_a_test_has_changed_does_not_stay(app):
    app.conf.task_store_eager_result = True
    with EagerMode():
        app.backend.servers.append("other")
        app.backend.get_state = None
    with EagerMode():
        assert app.backend.servers == [""]
        assert app.backend.get_state("unknown") == "PENDING"


def test_another_class_of_backend_is_made(app, monkeypatch):
    use(app)
    monkeypatch.setattr(CacheBackend, "expires_of_tests", 5, raising=False)
    with EagerMode():
        assert app.backend.expires_of_tests == 5


# ----------------------------------------------------------------- what tests do to it


def set_another_broker(app, patch):
    app.conf.broker_url = "redis://127.0.0.1:1/7"
    with EagerMode():
        assert app.tasks["kept.add"].delay(1, 2).get() == 3
        assert app.pool.connection.virtual_host == "7"
    app.conf.broker_url = "redis://127.0.0.1:1/0"


def change_the_broker_within(app, patch):
    with EagerMode():
        patch.setitem(app.conf.changes, "broker_url", "redis://127.0.0.1:1/7")
        assert app.tasks["kept.add"].delay(1, 2).get() == 3
        assert app.pool.connection.virtual_host == "7"


def change_options_in_place(app, patch):
    patch.setitem(app.conf.broker_transport_options, "visibility_timeout", 5)
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        assert app.pool.connection.transport_options == {"visibility_timeout": 5}


def change_the_environment(app, patch):
    patch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/8")
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        assert app.pool.connection.virtual_host == "8"


def change_the_pool_limit(app, patch):
    patch.setitem(app.conf.changes, "broker_pool_limit", 3)
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        assert app.pool.limit == app.amqp.producer_pool.limit == 3


def resize_the_pool(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        pools.set_limit(2)


def keep_a_producer(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        held.append(app.amqp.producer_pool.acquire())


def keep_a_connection(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        held.append(app.pool.acquire())


def keep_a_producer_in_a_thread(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        thread = threading.Thread(target=lambda: held.append(app.amqp.producer_pool.acquire()))
        thread.start()
        thread.join()


held = []


def change_the_producer(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        with app.amqp.producer_pool.acquire() as producer:
            producer.serializer = "pickle"


def change_the_connection(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        app.pool.connection.transport_options["visibility_timeout"] = 1


def connect(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        with pytest.raises(RealBrokerContacted):
            app.control.ping()


def fail(app, patch):
    def body():
        with EagerMode():
            app.tasks["kept.add"].delay(1, 2)
            app.tasks["kept.fail"].delay()

    with pytest.raises(ZeroDivisionError):
        body()


def fail_with_a_producer(app, patch):
    with pytest.raises(ZeroDivisionError), EagerMode(), app.producer_or_acquire():
        raise ZeroDivisionError


def register_a_task(app, patch):
    with EagerMode():

        @app.task(name="kept.new", shared=False)
        def new():
            return "new"

        assert new.delay().get() == "new"
    app.tasks.unregister("kept.new")


def patch_celery(app, patch):
    with EagerMode():
        patch.setattr(Celery, "connection_for_write", lambda app: Connection("redis://127.0.0.1:1/9"))
        app.tasks["kept.add"].delay(1, 2)
        assert app.pool.connection.virtual_host == "9"


def patch_the_app(app, patch):
    with EagerMode():
        patch.setattr(app, "connection_for_write", lambda: Connection("redis://127.0.0.1:1/9"))
        app.tasks["kept.add"].delay(1, 2)
        assert app.pool.connection.virtual_host == "9"


def patch_kombu(app, patch):
    with EagerMode():
        patch.setattr(Connection, "failover_strategies", {"patched": None})
        app.tasks["kept.add"].delay(1, 2)
        assert app.pool.connection.failover_strategies == {"patched": None}


def close_the_pools(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        pools.reset()


def forget_the_pools(app, patch):
    with EagerMode():
        app.tasks["kept.add"].delay(1, 2)
        app._pool = None
        del app.amqp
        assert app.tasks["kept.add"].delay(1, 2).get() == 3


DEEDS = [
    set_another_broker,
    change_the_broker_within,
    change_options_in_place,
    change_the_environment,
    change_the_pool_limit,
    resize_the_pool,
    keep_a_producer,
    keep_a_connection,
    keep_a_producer_in_a_thread,
    change_the_producer,
    change_the_connection,
    connect,
    fail,
    fail_with_a_producer,
    register_a_task,
    patch_celery,
    patch_the_app,
    patch_kombu,
    close_the_pools,
    forget_the_pools,
]


def ordinary(app):
    """What an ordinary test sees of its pool and its connection."""
    with EagerMode():
        assert app.tasks["kept.add"].delay(1, 2).get() == 3
        pool = app.amqp.producer_pool
        connection = app.pool.connection
        with pool.acquire() as producer:
            return (
                connection.as_uri(),
                connection.connected,
                dict(connection.transport_options),
                connection.failover_strategies is Connection.failover_strategies,
                producer.serializer,
                pool.limit,
                app.pool.limit,
                len(pool._dirty),
                len(app.pool._dirty),
                [own for own in vars(producer) if own != "release"],
                pool.connections is app.pool,
                [dict.get(pools.connections, key) is app.pool for key in pools.connections],
                sorted(name for name in app.tasks if name.startswith("kept.")),
            )


@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_test_does_is_gone(app, monkeypatch, deed):
    expected = ordinary(make_app())
    use(app)
    for _ in range(2):
        with monkeypatch.context() as patch:
            deed(app, patch)
        held.clear()
        assert ordinary(app) == expected
        assert ordinary(app) == expected


@pytest.mark.parametrize("seed", range(3))
def test_in_any_order(app, monkeypatch, seed):
    expected = ordinary(make_app())
    deeds = DEEDS * 2
    random.Random(seed).shuffle(deeds)
    for deed in deeds:
        with monkeypatch.context() as patch:
            deed(app, patch)
        assert ordinary(app) == expected, deed
    held.clear()


@pytest.mark.parametrize("deed", [fail, register_a_task, change_the_producer])
def test_what_leaves_the_pool_as_it_was_keeps_it(app, monkeypatch, deed):
    first = use(app)
    deed(app, monkeypatch)
    assert use(app) is first


def test_a_connection_of_a_test_is_closed(app):
    app.conf.broker_url = "memory://"
    first = use(app)
    with EagerMode():
        with app.producer_pool.acquire() as producer:
            producer.publish({}, routing_key="anywhere")
            connection = producer.connection
        assert connection.connected
    assert not connection.connected
    assert use(app) is not first


# ---------------------------------------------------------------------- apps, processes


def test_two_apps_with_one_broker():
    one, other = make_app(name="one"), make_app(name="other")
    for _ in range(2):
        use(one)
        use(other)
        with EagerMode():
            for app in (one, other, one):
                assert app.tasks["kept.add"].delay(1, 2).get() == 3
            assert one.pool.connection.as_uri() == other.pool.connection.as_uri()
    for app in (one, other):
        app.close()


def test_a_class_of_the_project_gets_all_anew():
    class Own(Celery):
        def connection_for_write(self, url=None, **options):
            return super().connection_for_write("redis://127.0.0.1:1/5", **options)

    app = Own("own", set_as_current=False)

    @app.task(name="kept.add", shared=False)
    def add(x, y):
        return x + y

    assert use(app) is not use(app)
    app.close()


def test_a_forked_process_makes_its_own(app):
    first = use(app)

    def child():
        os._exit(0 if use(app) is not first else 1)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert use(app) is first


def test_an_app_is_not_kept_alive():
    app = make_app()
    use(app)
    gone = weakref.ref(app)
    app.close()
    del app
    begin_log()
    gc.collect()
    assert gone() is None
