"""django-redis: the project's cache, on a Redis in memory and on a private one."""

from __future__ import annotations

import json

import pytest

from pytest_backchannel.servers.brokers.redis import start_redis

SETTINGS = """
    import fakeredis

    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/5",
            "OPTIONS": {"CONNECTION_POOL_KWARGS": {"connection_class": fakeredis.FakeRedisConnection}},
        }
    }
"""
TASKS = """
    from celery import shared_task
    from django.core.cache import cache

    @shared_task
    def count():
        with cache.lock("counting", timeout=10):
            cache.set("count", cache.get("count", 0) + 1, timeout=60)
        return cache.get("count")
"""


def test_a_cache_in_memory_follows_virtual_time(library):
    project = library("django_redis")
    project.settings(SETTINGS)
    project.write("shop/counting.py", TASKS)
    result = project.test(
        """
        import pytest
        from django.core.cache import cache
        from shop.counting import count

        @pytest.fixture(autouse=True)
        def empty():
            yield
            cache.clear()

        def test_on_the_stepped_worker(task_queue):
            results = [count.delay(), count.delay()]
            task_queue.run()
            assert [result.get() for result in results] == [1, 2]
            task_queue.advance(58)
            assert cache.get("count") == 2
            task_queue.advance(3)
            assert cache.get("count") is None

        def test_in_eager_mode(celery_eager):
            assert count.delay().get() == 1
        """
    )
    result.assert_outcomes(passed=2)


def test_a_cache_on_the_private_redis_of_a_test(library):
    project = library("django_redis")
    project.write("shop/counting.py", TASKS)
    result = project.test(
        """
        import pytest
        from django.core.cache import cache
        from shop.counting import count

        def test_on_the_stepped_worker(task_queue, redis_server, settings):
            settings.CACHES = {
                "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_server.url}
            }
            result = count.delay()
            task_queue.run()
            assert result.get() == 1
            assert cache.get("count") == 1
        """
    )
    result.assert_outcomes(passed=1)


AUDITED = """
    from celery import shared_task
    from django.core.cache import cache
    from django_redis import get_redis_connection

    @shared_task
    def locks():
        with cache.lock("counting", timeout=60, blocking_timeout=0.1):
            cache.set("count", cache.get("count", 0) + 1, timeout=60)

    @shared_task
    def drops():
        cache.set("page:3", 3, timeout=30)
        assert cache.ttl("page:3") == 30 and cache.ttl("page:1") is None and cache.ttl("page:9") == 0
        assert sorted(cache.keys("page:*")) == ["page:1", "page:2", "page:3"]
        cache.expire("page:2", 20)
        assert cache.ttl("page:2") == 20 and cache.persist("page:2") and cache.ttl("page:2") is None
        assert cache.delete_pattern("page:*") == 3 and list(cache.iter_keys("page:*")) == []
        assert not cache.set("word", "other", xx=True, nx=False) is False and not cache.set("word", "x", nx=True)

    @shared_task
    def pushes():
        get_redis_connection("default").rpush("list", 1)
        cache.sadd("set", "a")

    @shared_task
    def mixes():
        cache.set("word", "new")
        assert get_redis_connection("default").exists(cache.make_key("word"))
"""
AUDITED_TESTS = """
    import pytest
    from django.core.cache import cache
    from shop import counting

    @pytest.fixture(autouse=True)
    def filled(settings):
        settings.CELERY_TASK_ALWAYS_EAGER = True
        cache.clear()
        cache.set_many({"page:1": 1, "page:2": 2, "word": "one"}, timeout=None)

    @pytest.mark.parametrize("name", ["locks", "drops", "pushes", "mixes"])
    def test_it(name, celery_eager, db):
        getattr(counting, name).delay()
        assert (cache.get("count") == 1) is (name == "locks")
        assert (cache.get("page:1") is None) is (name == "drops")
"""
IN_AUDIT = {
    "locks": ["redis SET :1:counting", "cache.set count", "redis EVAL :1:counting"],
    "drops": ["cache.set page:3", *[f"cache.delete page:{n}" for n in (1, 2, 3)], "cache.set word"],
    "pushes": ["redis RPUSH list", "redis SADD :1:set"],
}


@pytest.mark.parametrize("real", [False, True], ids=["in memory", "on a server"])
def test_in_an_audit_it_does_what_it_does_and_nothing_is_left(library, real):
    project = library("django_redis")
    project.write("shop/counting.py", AUDITED)
    project.settings(SETTINGS)
    server = start_redis() if real else None
    if server is not None:
        project.settings(
            f'CACHES["default"] = {{"BACKEND": "django_redis.cache.RedisCache", "LOCATION": {server.url!r}}}'
        )
    project.write("test_it.py", AUDITED_TESTS)
    target = project.path / "audit.json"
    result = project.run("test_it.py", "--backchannel-audit", f"--backchannel-audit-json={target}")
    if server is not None:
        server.stop()
    result.assert_outcomes(passed=4)
    found = {task["task"].rpartition(".")[2]: task for task in json.loads(target.read_text())["tasks"]}
    for name, effects in IN_AUDIT.items():
        seen = [effect.rpartition(" (")[0] for call in found[name]["calls"] for effect in call["effects"]]
        assert (found[name]["reason"], seen) == ("", effects), name
    assert found["mixes"]["reason"].startswith("it asks Redis itself for what it has written through a cache")
