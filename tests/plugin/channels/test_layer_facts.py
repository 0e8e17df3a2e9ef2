"""What is known to go unseen with Channels' own layers, shown with them, and solved with ours. One test for each fact.

The facts about Redis itself (which end of a queue is dropped, what msgpack refuses, a consumer that dies of being idle)
are shown on a real Redis in tests/integration/test_layer_real_redis.py; here is what a project's tests see.
"""

from __future__ import annotations

import pytest

CONSUMERS = """
    import pytest
    from asgiref.sync import async_to_sync
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.testing import WebsocketCommunicator

    class Room(AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept()

        async def disconnect(self, code):
            await self.channel_layer.group_discard("room", self.channel_name)

        async def room_message(self, event):
            await self.send_json({"got": str(event["value"])})

    async def connected():
        communicator = WebsocketCommunicator(Room.as_asgi(), "/")
        await communicator.connect()
        return communicator
"""
OURS = """
    @pytest.fixture(autouse=True)
    def ours(channel_layer):
        pass
"""


@pytest.fixture
def run(project):
    """Runs the same tests on the project's own layer and on ours; gives the outcomes of both, and the text of ours."""
    project.ini("asyncio_mode = auto")

    def run(body, *args):
        found = []
        for extra in ("", OURS):
            result = project.test(CONSUMERS + extra + body, "-v", *args)
            outcomes = {
                line.split("::")[1].split()[0]: line.split()[1].lower()
                for line in result.outlines
                if "::" in line and line.split()[1:2] and line.split()[1] in ("PASSED", "FAILED", "ERROR")
            }
            found.append(outcomes)
        return found[0], found[1], result.stdout.str()

    return run


def test_fact_the_sender_of_an_unknown_type_sees_nothing(run):
    own, ours, text = run(
        """
    async def test_it():
        browser = await connected()
        await get_channel_layer().group_send("room", {"type": "room.mesage", "value": 1})
        assert await browser.receive_nothing()
"""
    )
    assert (own, ours) == ({"test_it": "passed"}, {"test_it": "failed"})
    assert "no_handler: group_send('room'" in text
    assert "its nearest handlers: room_message  [test_it.py:" in text


def test_fact_a_group_without_members_is_silent(run):
    own, ours, text = run(
        """
    async def test_it():
        browser = await connected()
        await get_channel_layer().group_send("rooom", {"type": "room.message", "value": 1})
        await browser.disconnect()
"""
    )
    assert (own, ours) == ({"test_it": "passed"}, {"test_it": "failed"})
    assert "BackchannelWarning: group_send('rooom'" in text


def test_fact_over_capacity_the_in_memory_layer_drops_without_a_word(run):
    own, ours, text = run(
        """
    async def test_it():
        channel = await get_channel_layer().new_channel()
        await get_channel_layer().group_add("room", channel)
        for n in range(103):
            await get_channel_layer().group_send("room", {"type": "room.message", "value": n})
        got = [(await get_channel_layer().receive(channel))["value"] for n in range(100)]
        assert got == list(range(100))
"""
    )
    assert (own, ours) == ({"test_it": "passed"}, {"test_it": "failed"})
    assert "over_capacity: group_send('room', {'type': 'room.message', 'value': 100}) (3 times)" in text


def test_fact_the_in_memory_layer_takes_any_python_object(run):
    own, ours, text = run(
        """
    import datetime
    import decimal
    import uuid

    VALUES = [datetime.datetime(2026, 1, 2), decimal.Decimal("1.5"), uuid.UUID(int=1), {1, 2}, {1: 2}]

    @pytest.mark.parametrize("value", VALUES, ids=["datetime", "decimal", "uuid", "set", "key"])
    async def test_value(value):
        browser = await connected()
        await get_channel_layer().group_send("room", {"type": "room.message", "value": value})
        assert await browser.receive_json_from() == {"got": str(value)}
        await browser.disconnect()

    async def test_tuple():
        browser = await connected()
        await get_channel_layer().group_send("room", {"type": "room.message", "value": (1, 2)})
        assert await browser.receive_json_from() == {"got": "(1, 2)"}
        await browser.disconnect()
"""
    )
    assert set(own.values()) == {"passed"}
    assert set(ours.values()) == {"failed"}
    assert len(own) == len(ours) == 6
    for advice in ("send value.isoformat()", "send str(value)", "send sorted(value)", "has the key 1 (int): use a str"):
        assert advice in text
    assert "'got': '[1, 2]'" in text


def test_fact_groups_and_messages_survive_into_the_next_test(run):
    own, ours, _ = run(
        """
    async def test_one():
        await get_channel_layer().group_add("room", "left-over")
        await get_channel_layer().send("left-over", {"type": "room.message", "value": 1})

    def test_two():
        layer = get_channel_layer()
        members = layer.members("room") if hasattr(layer, "members") else list(layer.groups.get("room", ()))
        assert members == []

    async def test_three():
        import asyncio
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(get_channel_layer().receive("left-over"), 0.05)
""",
        "-Wignore::pytest_backchannel.errors.BackchannelWarning",
    )
    assert own == {"test_one": "passed", "test_two": "failed", "test_three": "failed"}
    assert set(ours.values()) == {"passed"}


def test_fact_workers_of_xdist_share_a_redis_and_hear_each_other(project):
    """With our layer nothing reaches Redis, whatever the settings say: here it is where nothing listens."""
    project.ini("asyncio_mode = auto", "backchannel_strict = true", "usefixtures = channel_layer")
    project.settings(
        """
        CHANNEL_LAYERS = {"default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"], "capacity": 7},
        }}
        """
    )
    body = """
    @pytest.mark.parametrize("n", range(6))
    async def test_it(n):
        layer = get_channel_layer()
        assert (layer.kind, layer.options.capacity) == ("core", 7)
        browser = await connected()
        assert len(layer.members("room")) == 1
        await layer.group_send("room", {"type": "room.message", "value": n})
        assert await browser.receive_json_from() == {"got": str(n)}
        assert await browser.receive_nothing()
        await browser.disconnect()
"""
    project.test(CONSUMERS + body, "-n2").assert_outcomes(passed=6)


def test_strict_observes_where_no_module_has_imported_channels_before_the_test(project):
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(
        """
        import sys

        async def test_it():
            from channels.layers import InMemoryChannelLayer, get_channel_layer

            layer = get_channel_layer()
            assert type(layer) is InMemoryChannelLayer
            channel = await layer.new_channel()
            await layer.group_add("room", channel)
            await layer.group_send("room", {"type": "room.message", "value": {1}})
            await layer.receive(channel)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not_serialisable: group_send('room', *"])
