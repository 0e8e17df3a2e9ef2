"""freezegun, which stops the time of the modules that it finds."""

from __future__ import annotations


def test_tasks_run_at_the_frozen_moment(library):
    project = library("freezegun")
    project.write(
        "shop/dating.py",
        """
        from celery import shared_task
        from django.utils import timezone

        @shared_task
        def year():
            return timezone.now().year
        """,
    )
    result = project.test(
        """
        import pytest
        from freezegun import freeze_time
        from pytest_backchannel import BackchannelError
        from pytest_backchannel.errors import NoFrame
        from shop.dating import year

        @freeze_time("2031-05-06")
        def test_on_the_stepped_worker(task_queue):
            result = year.delay()
            task_queue.run()
            assert result.get() == 2031

        def test_freezegun_moves_and_the_queue_runs(task_queue):
            with freeze_time("2031-12-31 23:59:30") as frozen:
                result = year.apply_async(countdown=60)
                assert task_queue.run() == {}
                frozen.tick(60)
                assert task_queue.run() == {"SUCCESS": 1}
                assert result.get() == 2032

        @freeze_time("2031-05-06")
        def test_the_queue_does_not_move_it(task_queue):
            year.apply_async(countdown=60)
            with pytest.raises(BackchannelError, match="freezegun holds the time"):
                task_queue.advance(60)

        @freeze_time("2031-05-06")
        def test_in_eager_mode(celery_eager):
            assert year.delay().get() == 2031

        @freeze_time("2031-05-06")
        def test_inside_of_the_virtual_clock(virtual_clock):
            with pytest.raises(BackchannelError, match="something else holds the time"):
                virtual_clock.shift(60)

        @pytest.mark.asyncio
        @freeze_time("2031-05-06")
        async def test_a_frame_that_does_not_come(websocket):
            async with websocket("/ws/echo/", timeout=0.2) as browser:
                await browser.send_json({"text": "hello"})
                assert await browser.receive_json() == {"text": "hello"}
                with pytest.raises(NoFrame, match="freezegun has stopped the clock of the event loop"):
                    await browser.receive_json()
        """
    )
    result.assert_outcomes(passed=6)
