"""django-redis: the project's cache, on a Redis in memory and on a private one."""

from __future__ import annotations

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
