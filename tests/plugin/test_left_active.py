"""After each test nothing of the plugin is active: no clock, no log, no replaced function, whichever way it ended."""

from __future__ import annotations

CONFTEST = """
    import pytest
    from pytest_backchannel.active import active

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(nodeid):
        assert active() == [], f"after {nodeid}"
"""


def test_nothing_is_active_after_a_test(project):
    project.write("conftest.py", CONFTEST)
    project.ini("asyncio_mode = auto")
    result = project.test(
        """
        import asyncio
        import time
        import channels.layers
        import pytest
        from channels.testing import WebsocketCommunicator
        from pytest_backchannel.active import active
        from config.asgi import application
        from shop.models import Order

        def test_watched(db):
            assert "observer of the project's layers" in active()
            assert "log" not in active()

        def test_time(virtual_clock):
            time.sleep(60)
            assert {"log", "virtual clock"} < set(active())

        def test_fails(virtual_clock, task_queue, websocket):
            assert not active()

        @pytest.fixture
        def broken(virtual_clock, celery_eager):
            raise ValueError

        def test_breaks(broken): pass

        async def test_socket(db_async, websocket):
            async with websocket("/ws/rooms/7/"):
                assert await Order.objects.acount() == 0
                assert {"closing of old connections", "probe of consumers", "watch of communicators"} < set(active())

        async def test_communicator(db, channel_layer):
            communicator = WebsocketCommunicator(application, "/ws/rooms/7/")
            await communicator.connect()
            await communicator.disconnect()

        @pytest.mark.skip
        def test_skipped(): pass
        """
    )
    result.assert_outcomes(passed=4, failed=1, errors=1, skipped=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
