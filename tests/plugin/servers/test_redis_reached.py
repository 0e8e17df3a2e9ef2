"""A Redis that a test reaches, though nobody meant it: told, and refused beside an in-process double."""

from __future__ import annotations

import pytest

LAYER = """
    CHANNEL_LAYERS = {"default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1/3"]},
    }}
"""
TESTS = """
    import asyncio
    import pytest
    import redis
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer
    from config.celery import app
    from pytest_backchannel.errors import RealBrokerContacted
    from shop.tasks import add

    # What a lock of a task does: a client of its own, made when its module is imported.
    lock = redis.Redis.from_url(app.conf.broker_url)
    cache = redis.Redis.from_url("redis://127.0.0.1:1/9")

    def notify():
        async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message"})
"""


def test_with_a_double_nothing_reaches_redis(project):
    project.settings(LAYER)
    result = project.test(
        TESTS
        + """
    @app.task
    def notifies():
        notify()

    @pytest.mark.parametrize("double", ["task_queue", "celery_eager", "virtual_clock", "websocket", "channel_layer"])
    def test_group_send(request, double):
        request.getfixturevalue(double)
        notify()
        assert repr(get_channel_layer()) == "<StrictLayer 'default' (core)>"

    def test_a_task_that_sends(task_queue):
        notifies.delay()
        task_queue.run()

    @pytest.mark.allow_lost("real_broker")
    def test_a_lock(task_queue):
        with pytest.raises(RealBrokerContacted, match="by a Redis client of the code's own"):
            lock.set("lock", 1, nx=True)

    @pytest.mark.allow_lost("real_broker")
    def test_a_lock_that_a_loop_opens(celery_eager):
        async def main():
            async with redis.asyncio.Redis.from_url(app.conf.broker_url) as client:
                await client.set("lock", 1, nx=True)
        with pytest.raises(RealBrokerContacted, match="redis://127.0.0.1:1/0"):
            asyncio.run(main())

    def test_a_cache_elsewhere_is_let_be(task_queue):
        with pytest.raises(redis.exceptions.ConnectionError):
            cache.get("key")

    def test_a_layer_that_the_test_has_put_there_stays(request, monkeypatch):
        from channels.layers import InMemoryChannelLayer, channel_layers
        mine = InMemoryChannelLayer()
        monkeypatch.setitem(channel_layers.backends, "default", mine)
        request.getfixturevalue("celery_eager")
        assert get_channel_layer() is mine
    """
    )
    result.assert_outcomes(passed=10)


def test_a_client_that_is_loaded_by_the_body_is_refused_too(project):
    result = project.test(
        """
        import sys
        import pytest
        from config.celery import app
        from pytest_backchannel.errors import RealBrokerContacted

        LOADED = "redis" in sys.modules

        @pytest.mark.allow_lost("real_broker")
        def test_a_lock(celery_eager):
            assert not LOADED
            import redis

            with pytest.raises(RealBrokerContacted, match="Give that client a Redis in memory, fakeredis.FakeRedis"):
                redis.Redis.from_url(app.conf.broker_url).set("lock", 1, nx=True)
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("strict", [False, True])
def test_without_a_double_it_is_told(project, strict):
    project.settings(LAYER)
    project.ini(*["backchannel_strict = true"] * strict)
    result = project.test(
        TESTS
        + """
    def caught(call):
        with pytest.raises(Exception):
            call()

    def test_layer():
        caught(notify)

    def test_lock():
        caught(lambda: lock.get("key"))

    def test_results():
        caught(lambda: app.backend.client.get("key"))

    def test_cache():
        caught(lambda: cache.get("key"))

    @pytest.mark.celery_integration
    def test_meant():
        caught(lambda: lock.get("key"))
        caught(notify)
    """
    )
    result.assert_outcomes(passed=2 if strict else 5, failed=3 if strict else 0)
    for told in (
        "real_layer: this test connects to a real channel layer, redis://127.0.0.1:1/3*",
        "real_broker: this test connects to a real broker, redis://127.0.0.1:1/0, by a Redis client of the code's own*",
        "real_results: this test connects to a real result backend, redis://127.0.0.1:1/1*",
    ):
        result.stdout.fnmatch_lines([told])
    assert "1:1/9" not in result.stdout.str()


def test_a_redis_that_is_not_there_names_the_fixture(project):
    project.settings(LAYER)
    result = project.test(
        TESTS
        + """
    def test_layer():
        notify()
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*Nothing answers there, and a unit test needs no Redis. Ask for the fixture channel_layer*"]
    )


@pytest.mark.parametrize("strict", [False, True])
def test_the_first_use_in_a_process_is_told_also_in_a_fixture(project, strict):
    """Nothing has loaded redis-py before the layer is first asked for, and Channels loads it then."""
    project.settings(LAYER)
    project.ini(*["backchannel_strict = true"] * strict)
    result = project.test(
        """
    import sys
    import pytest
    from asgiref.sync import async_to_sync

    loaded = "channels_redis" in sys.modules

    @pytest.fixture
    def room():
        from channels.layers import get_channel_layer
        with pytest.raises(Exception):
            async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message"})

    def test_layer(room):
        assert not loaded
    """
    )
    assert result.ret == int(strict)
    result.stdout.fnmatch_lines(["*real_layer: this test connects to a real channel layer, redis://127.0.0.1:1/3*"])
