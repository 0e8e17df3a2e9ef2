"""tenacity: its waits take no time, and are recorded."""

from __future__ import annotations

TASKS = """
    import tenacity
    from celery import shared_task

    def gateway():
        raise OSError("not now")

    @shared_task
    @tenacity.retry(wait=tenacity.wait_exponential(min=10), stop=tenacity.stop_after_attempt(3), reraise=True)
    def charge():
        return gateway()
"""


def test_its_waits_are_virtual(library):
    project = library("tenacity")
    project.write("shop/charging.py", TASKS)
    result = project.test(
        """
        import time

        import pytest
        import tenacity
        from shop import charging

        @pytest.fixture
        def failing_twice(monkeypatch):
            calls = []

            def gateway():
                calls.append(time.time())
                if len(calls) < 3:
                    raise OSError("not now")
                return "charged"

            monkeypatch.setattr(charging, "gateway", gateway)
            return calls

        def test_on_the_stepped_worker(task_queue, failing_twice):
            result = charging.charge.delay()
            task_queue.run()
            assert result.get() == "charged"
            assert [b - a for a, b in zip(failing_twice, failing_twice[1:])] == [10, 10]

        def test_the_clock_records_them(celery_eager, virtual_clock, failing_twice):
            assert charging.charge.delay().get() == "charged"
            assert [slept.seconds for slept in virtual_clock.sleeps] == [10, 10]

        def test_its_last_failure_is_that_of_the_task(task_queue):
            charging.charge.delay()
            with pytest.raises(OSError, match="not now"):
                task_queue.run()

        @pytest.mark.asyncio
        async def test_in_a_coroutine(virtual_clock, failing_twice):
            @tenacity.retry(wait=tenacity.wait_fixed(20))
            async def charge():
                return charging.gateway()

            assert await charge() == "charged"
            assert [slept.seconds for slept in virtual_clock.sleeps] == [20, 20]
        """
    )
    result.assert_outcomes(passed=4)
