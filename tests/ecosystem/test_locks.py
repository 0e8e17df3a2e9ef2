"""celery-singleton and celery-once: their locks are in a Redis that they open by themselves, at the broker's own URL.

No unit test reaches that one: it is refused, and a suite gives them one in memory.
"""

from __future__ import annotations

import socket
import textwrap

import pytest

TASKS = {
    "celery_singleton": """
        from celery import shared_task
        from celery_singleton import Singleton

        @shared_task(base=Singleton)
        def report(year):
            return year
    """,
    "celery_once": """
        from celery import shared_task
        from celery_once import QueueOnce

        @shared_task(base=QueueOnce, once={"graceful": True})
        def report(year):
            return year
    """,
}
SETTINGS = """
    CELERY_ONCE = {"backend": "celery_once.backends.Redis", "settings": {"url": CELERY_BROKER_URL}}
    CELERY_SINGLETON_BACKEND_URL = CELERY_BROKER_URL
"""
# As the page about other libraries has it.
IN_MEMORY = {
    "celery_singleton": """
        import fakeredis
        import pytest

        @pytest.fixture(autouse=True)
        def locks_in_memory(monkeypatch):
            monkeypatch.setattr("celery_singleton.backends._backend", None)
            monkeypatch.setattr("celery_singleton.backends.redis.Redis", fakeredis.FakeRedis)
    """,
    "celery_once": """
        import fakeredis
        import pytest

        @pytest.fixture(autouse=True)
        def locks_in_memory(monkeypatch):
            monkeypatch.setattr("celery_once.backends.redis.redis", fakeredis.FakeRedis())
    """,
}


@pytest.fixture(params=["celery_singleton", "celery_once"])
def locked(request, library):
    project = library(request.param)
    project.write("shop/locked.py", TASKS[request.param])
    project.locks_in_memory = IN_MEMORY[request.param]
    return project


@pytest.mark.parametrize("double", ["task_queue", "celery_eager"])
def test_a_lock_is_never_let_through_to_the_broker(locked, double):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        locked.settings(f'CELERY_BROKER_URL = "redis://127.0.0.1:{port}/0"\n' + textwrap.dedent(SETTINGS))
        result = locked.test(
            f"""
            import pytest
            from pytest_backchannel.errors import RealBrokerContacted
            from shop.locked import report

            @pytest.mark.allow_lost("real_broker")
            def test_it_is_refused({double}):
                with pytest.raises(RealBrokerContacted, match="fakeredis"):
                    report.delay(2030)
            """
        )
        result.assert_outcomes(passed=1)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has come
            server.accept()


def test_with_a_redis_in_memory_a_second_one_is_not_enqueued(locked):
    locked.settings(SETTINGS)
    locked.write("conftest.py", locked.locks_in_memory)
    result = locked.test(
        """
        from shop.locked import report

        def test_on_the_stepped_worker(task_queue):
            report.delay(2030)
            report.delay(2030)
            report.delay(2031)
            assert task_queue.run() == {"SUCCESS": 2}
            report.delay(2030)  # the lock ended with the task
            task_queue.assert_enqueued(report.s(2030), count=1)
            task_queue.run()

        def test_in_eager_mode(celery_eager):
            assert report.delay(2030).get() == 2030
            assert report.delay(2030).get() == 2030
        """
    )
    result.assert_outcomes(passed=2)
