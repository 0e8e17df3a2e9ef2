"""What a test with each of the other doubles costs, beside what there is else; run by benchmarks/cost.py."""

from __future__ import annotations

from counting import suite

TESTS = """
import asyncio

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.contenttypes.models import ContentType

pytestmark = pytest.mark.parametrize("n", range(15))


class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


class SyncEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json(content)


async def by_communicator(consumer):
    ws = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
    assert (await ws.connect())[0]
    await ws.send_json_to({"n": 1})
    assert await ws.receive_json_from() == {"n": 1}
    await ws.disconnect()


async def by_client(websocket, consumer):
    async with websocket(consumer, "/ws/") as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == {"n": 1}


async def through(layer):
    name = await layer.new_channel()
    await layer.group_add("group", name)
    await layer.group_send("group", {"type": "told", "n": 1})
    assert (await layer.receive(name))["n"] == 1
    await layer.group_discard("group", name)


def test_nothing(n):
    pass

@pytest.mark.asyncio
async def test_nothing_async(n):
    pass

@pytest.mark.asyncio
async def test_communicator(n):
    await by_communicator(Echo)

@pytest.mark.asyncio
async def test_websocket(n, websocket):
    await by_client(websocket, Echo)

@pytest.mark.asyncio
async def test_communicator_sync_consumer(n):
    await by_communicator(SyncEcho)

@pytest.mark.asyncio
async def test_websocket_sync_consumer(n, websocket):
    await by_client(websocket, SyncEcho)

@pytest.mark.asyncio
async def test_layer_in_memory(n):
    await through(get_channel_layer())

@pytest.mark.asyncio
async def test_channel_layer(n, channel_layer):
    await through(channel_layer)

@pytest.mark.asyncio
async def test_virtual_clock(n, virtual_clock):
    await asyncio.sleep(60)

def test_db(n, db):
    assert ContentType.objects.count() >= 0

@pytest.mark.asyncio
async def test_db_async(n, db):
    assert await ContentType.objects.acount() >= 0
"""

FILES = {
    "cost_settings.py": suite.SETTINGS.replace('["channels"]', '["channels", "django.contrib.contenttypes"]'),
    "tasks.py": suite.APP,
    "conftest.py": suite.CONFTEST,
    "test_cost.py": TESTS,
    "pytest.ini": suite.INI,
}

# A double, what it stands beside, and the test without either: what it adds, times what the other one adds.
PAIRS = (
    ("websocket", "communicator", "nothing_async"),
    ("websocket_sync_consumer", "communicator_sync_consumer", "nothing_async"),
    ("channel_layer", "layer_in_memory", "nothing_async"),
)
