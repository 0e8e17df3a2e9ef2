"""The project's own layer, in tests that use none of the fixtures: never replaced, and judged as it is."""

from __future__ import annotations

import pytest

CONSUMERS = """
    import asyncio
    import pytest
    from unittest import mock
    from asgiref.sync import async_to_sync
    from channels.exceptions import InvalidChannelLayerError
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
    from channels.testing import WebsocketCommunicator

    class Room(AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept()

        async def disconnect(self, code):
            await self.channel_layer.group_discard("room", self.channel_name)

        async def room_message(self, event):
            await self.send_json({"text": event["text"]})

    async def opened():
        communicator = WebsocketCommunicator(Room.as_asgi(), "/")
        await communicator.connect()
        return communicator
"""


def test_what_a_test_inspects_or_patches_is_as_without_the_plugin_in_strict_mode(project):
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(
        CONSUMERS
        + """
    async def test_groups_and_channels():
        browser = await opened()
        layer = get_channel_layer()
        assert type(layer) is InMemoryChannelLayer
        assert list(layer.groups) == ["room"]
        assert len(layer.channels) == 1
        await browser.disconnect()
        assert not layer.groups

    async def test_patched():
        with mock.patch.object(InMemoryChannelLayer, "group_send", mock.AsyncMock()) as sent:
            await get_channel_layer().group_send("room", {"type": "room.message", "tags": {1}})
        sent.assert_awaited_once_with("room", {"type": "room.message", "tags": {1}})

    def test_a_layer_put_in_its_place():
        mine = mock.Mock()
        before = channel_layers.set("default", mine)
        assert get_channel_layer() is mine
        channel_layers.set("default", before)

    def test_overridden(settings):
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer",
                                               "CONFIG": {"capacity": 3}}}
        assert get_channel_layer().capacity == 3

    def test_broken(settings):
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "no.such.Layer"}}
        with pytest.raises(InvalidChannelLayerError):
            get_channel_layer()

    async def test_a_layer_of_the_tests_own_is_what_it_tests():
        layer = InMemoryChannelLayer(capacity=1)
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "room.message"})
        await layer.group_send("room", {"type": "room.message"})

    async def test_a_crash_that_the_test_sees():
        browser = await opened()
        await get_channel_layer().group_send("room", {"type": "room.mesage"})
        with pytest.raises(ValueError, match="room.mesage"):
            await browser.receive_json_from()
        get_channel_layer().groups.clear()

    async def test_a_crash_that_a_caught_error_shows():
        browser = await opened()
        await get_channel_layer().group_send("room", {"type": "room.mesage"})
        try:
            await browser.receive_json_from()
        except ValueError:
            get_channel_layer().groups.clear()
"""
    )
    result.assert_outcomes(passed=8)


def test_what_is_lost_on_it_fails_in_strict_mode(project):
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(
        CONSUMERS
        + """
    async def test_no_handler():
        browser = await opened()
        await get_channel_layer().group_send("room", {"type": "room.mesage"})
        assert await browser.receive_nothing()
        get_channel_layer().groups.clear()

    async def test_not_serialisable():
        browser = await opened()
        await get_channel_layer().group_send("room", {"type": "room.message", "text": {1}.__repr__(), "tags": {1}})
        assert await browser.receive_json_from() == {"text": "{1}"}  # as without the plugin, it is carried
        await browser.disconnect()

    async def test_over_capacity():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        for _ in range(layer.capacity + 1):
            await layer.group_send("room", {"type": "room.message"})
        for _ in range(layer.capacity):
            await layer.receive(channel)
        layer.groups.clear()

    async def test_production_capacity_is_not_that_of_this_layer():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        for _ in range(50):
            await layer.group_send("room", {"type": "room.message"})
        for _ in range(50):
            await layer.receive(channel)
        layer.groups.clear()
"""
    )
    result.assert_outcomes(passed=1, failed=3)
    for slug in (
        "no_handler: group_send('room'",
        "not_serialisable: group_send('room'",
        "over_capacity: group_send('room'",
    ):
        result.stdout.fnmatch_lines([f"{slug}*"])


@pytest.mark.parametrize("ini", ["", "backchannel_strict = true"])
def test_a_consumer_left_open_is_the_fault_of_the_test_that_left_it(project, ini):
    project.ini("asyncio_mode = auto", ini)
    result = project.test(
        CONSUMERS
        + """
    async def test_leaves_it_open():
        await opened()

    @pytest.mark.parametrize("n", range(4))
    async def test_sound(n):
        browser = await opened()
        await get_channel_layer().group_send("room", {"type": "room.message", "text": n})
        assert await browser.receive_json_from() == {"text": n}
        await browser.disconnect()
"""
    )
    result.assert_outcomes(passed=4 + (not ini), failed=bool(ini))
    out = result.stdout.str()
    assert "unread:" not in out
    assert "test_sound" not in out.partition("consumer_left_open")[2]


def test_a_line_that_sends_to_nobody_is_told_once(project):
    project.ini("asyncio_mode = auto")
    tests = (
        CONSUMERS
        + """
    def notify(user):
        async_to_sync(get_channel_layer().group_send)(f"user-{user}", {"type": "room.message", "text": "hello"})

    @pytest.mark.parametrize("n", range(5))
    def test_broadcasts(n, ASKED):
        layer = get_channel_layer()
        async_to_sync(layer.group_add)("room", async_to_sync(layer.new_channel)())
        for user in range(3):
            notify(10 * n + user)
        if hasattr(layer, "groups"): layer.groups.clear()
"""
    )
    result = project.test(tests.replace("ASKED", "request"))
    result.assert_outcomes(passed=5)
    summary = result.stdout.str().partition("unseen behind the request")[2]
    assert summary.count("no_members") == 1
    result.stdout.fnmatch_lines(
        [
            "no_members: group_send('user-0', *(3 times, to 3 groups): nobody is in the group 'user-0'*test_it.py:*",
            "    15 times, in test_it.py::test_broadcasts?0? and 4 more",
        ]
    )
    # A test with one of the fixtures: one warning a line.
    result = project.test(
        tests.replace("ASKED", "channel_layer"), "-Wdefault::pytest_backchannel.errors.BackchannelWarning"
    )
    result.assert_outcomes(passed=5, warnings=5)


WORKER = """
    import asyncio
    import pytest
    from channels.consumer import AsyncConsumer, SyncConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ChannelNameRouter
    from channels.worker import Worker

    done = []

    class Printer(AsyncConsumer):
        async def print_label(self, message):
            if message["label"] == "bad":
                raise ValueError("out of paper")
            done.append(message["label"])

    async def run(*labels):
        layer = get_channel_layer()
        worker = Worker(ChannelNameRouter({"printer": Printer.as_asgi()}), ["printer"], layer)
        running = asyncio.create_task(worker.arun())
        for label in labels:
            await layer.send("printer", {"type": "print.label", "label": label})
        await asyncio.sleep(TIME)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def test_crash(ASKED):
        await run("bad")

    async def test_sound(ASKED):
        await run("good", "better")
        assert done == ["good", "better"]

    async def test_stopped_half_way(ASKED):
        await run("best")
"""


@pytest.mark.parametrize("time", ["0.02", "0.2"])  # before and after the worker has looked at its consumers
@pytest.mark.parametrize("asked", ["channel_layer", "request"])
def test_a_crash_below_channels_worker_is_noticed(project, asked, time):
    project.ini("asyncio_mode = auto", *["backchannel_strict = true"] * (asked == "request"))
    result = project.test(WORKER.replace("ASKED", asked).replace("TIME", time))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["consumer_crashed: Printer (printer) raised ValueError: out of paper*test_it.py:*", "*It was run by Worker*"]
    )


@pytest.mark.parametrize("strict", [False, True])
def test_a_task_left_running_fails_in_strict_mode(project, strict):
    """Only our client can say so: behind a communicator the loop has cancelled it when the test is judged."""
    project.ini("asyncio_mode = auto", *["backchannel_strict = true"] * strict)
    result = project.test(
        CONSUMERS
        + """
    class Ticker(Room):
        async def connect(self):
            await super().connect()
            self.ticking = asyncio.create_task(self.tick())

        async def tick(self):
            await asyncio.sleep(60)

    async def test_it(websocket):
        async with websocket(Ticker):
            pass
""",
        "-W",
        "default",
    )
    result.assert_outcomes(passed=int(not strict), failed=int(strict), warnings=int(not strict))
    result.stdout.fnmatch_lines(["*Ticker.tick, a task that Ticker (/) started, still runs*"])
