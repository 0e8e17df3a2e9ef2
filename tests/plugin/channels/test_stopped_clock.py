"""freezegun stops the clock of the event loop: what waits says so instead of waiting for ever."""

from __future__ import annotations

TESTS = """
    import asyncio

    import pytest
    from channels.consumer import AsyncConsumer
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from freezegun import freeze_time
    from pytest_backchannel.errors import ConsumerHung, NoFrame, NotIdle

    pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]
    SAID = r"freezegun has stopped the clock of the event loop.*real_asyncio=True"

    class Sleepy(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            await asyncio.sleep(0.1)

    @freeze_time("2031-05-06")
    async def test_what_comes_is_received(websocket):
        async with websocket("/ws/echo/") as browser:
            await browser.send_json({"text": "hello"})
            assert await browser.receive_json() == {"text": "hello"}
            assert await browser.receive_nothing()

    @freeze_time("2031-05-06")
    async def test_what_does_not_come(websocket):
        async with websocket("/ws/echo/", timeout=0.2) as browser:
            with pytest.raises(NoFrame, match=SAID):
                await browser.receive_json()
            with pytest.raises(NoFrame, match=SAID):
                await browser.expect_close()
            with pytest.raises(NoFrame, match=SAID):
                await browser.receive_until(lambda frame: True)

    @freeze_time("2031-05-06")
    async def test_a_consumer_that_sleeps(websocket):
        with pytest.raises(ConsumerHung, match=SAID):
            async with websocket(Sleepy, timeout=0.2) as browser:
                await browser.send_json({})
                with pytest.raises(NotIdle, match=SAID):
                    await browser.receive_nothing()

    class Printer(AsyncConsumer):
        async def print_label(self, message):
            if message["slowly"]:
                await asyncio.sleep(0.1)

    @freeze_time("2031-05-06")
    @pytest.mark.parametrize("slowly", [False, True])
    async def test_a_worker_consumer(channel_layer, slowly):
        await channel_layer.send("label-printer", {"type": "print.label", "slowly": slowly})
        if not slowly:
            assert await channel_layer.arun("label-printer", Printer) == 1
            return
        with pytest.raises(NotIdle, match=SAID):
            await channel_layer.arun("label-printer", Printer, timeout=0.2)

    @freeze_time("2031-05-06", real_asyncio=True)
    async def test_without_it(websocket):
        async with websocket("/ws/echo/", timeout=0.2) as browser:
            with pytest.raises(NoFrame) as info:
                await browser.receive_json()
        assert "freezegun" not in str(info.value)
"""


def test_a_frame_that_does_not_come(project):
    project.test(TESTS).assert_outcomes(passed=6)
