"""virtual_clock as a project sees it, in sync and async tests."""

from __future__ import annotations

import pytest

BODY = """
    import asyncio
    import time
    from datetime import datetime, timezone
    from time import sleep

    import pytest
    from django.utils import timezone as django_timezone

    def test_sync(virtual_clock):
        started = virtual_clock.now
        sleep(30)
        time.sleep(30)
        assert (django_timezone.now() - started).total_seconds() == 60
        assert [nap.seconds for nap in virtual_clock.sleeps] == [30, 30]
        assert str(virtual_clock.sleeps[0].where).startswith("test_it.py:")

    def test_move_to(virtual_clock):
        virtual_clock.move_to(datetime(2030, 1, 1, tzinfo=timezone.utc))
        assert django_timezone.now().year == 2030

    def test_afterwards_time_is_real():
        assert django_timezone.now().year < 2030
        assert sleep is time.sleep
        assert sleep.__module__ == "time"

    @pytest.mark.{mark}
    async def test_async(virtual_clock):
        started = virtual_clock.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.gather(asyncio.sleep(30), asyncio.sleep(90))
        assert virtual_clock.time() - started == 60

    @pytest.mark.{mark}
    async def test_async_with_the_database(db, virtual_clock):
        from shop.models import Order
        started = virtual_clock.time()
        async with asyncio.timeout(60):
            await Order.objects.acreate(reference="a")
            await asyncio.sleep(10)
            assert await Order.objects.acount() == 1
        assert virtual_clock.time() - started == 10
"""


def test_sync_and_async(project):
    project.ini("asyncio_mode = strict")
    body = BODY.replace("{mark}", "asyncio")
    project.test(body, "--timeout=20").assert_outcomes(passed=5)


def test_with_anyios_marker(project):
    pytest.importorskip("anyio")
    project.write("conftest.py", 'import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n')
    body = BODY.replace("{mark}", "anyio")
    project.test(body, "--timeout=20").assert_outcomes(passed=5)


def test_sleeps_stand_in_the_story_and_pytests_own_time_is_real(project):
    result = project.test(
        """
        import time
        import pytest

        def test_fails(virtual_clock):
            time.sleep(3600)
            assert False

        def test_real_waiting(virtual_clock):
            import threading
            assert not threading.Event().wait(0.05)
        """,
        "--durations=0",
        "-vv",
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*Behind the request*", "*0 s  time.sleep(3600)  [[]test_it.py:6]*"])
    assert "3600.0" not in str(result.stdout).replace("time.sleep(3600)", "")
