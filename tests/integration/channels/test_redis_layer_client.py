"""The client beside a real Redis layer, whose socket may always bring something: then nothing is decided by a wait."""

from __future__ import annotations

import contextlib
import time

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from support.layers import layer_in_place

from pytest_backchannel import WebSocketClient, errors

pytestmark = [pytest.mark.celery_integration, pytest.mark.asyncio]


class Member(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("members", self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard("members", self.channel_name)

    async def news(self, event):
        await self.send(text_data=event["text"])


async def test_receive_nothing_waits_a_little_and_frames_come(redis_server):
    from channels_redis.core import RedisChannelLayer

    # Without a socket time out: redis-py 8 ends an idle consumer after 5 s (channels_redis#422).
    layer = RedisChannelLayer(hosts=[{"address": redis_server.url, "socket_timeout": None}])
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(layer.close_pools)
        stack.enter_context(layer_in_place(layer))
        async with WebSocketClient(Member, timeout=60) as ws:
            start = time.perf_counter()
            assert await ws.receive_nothing()
            assert 0.09 < time.perf_counter() - start < 20
            await layer.group_send("members", {"type": "news", "text": "hello"})
            assert await ws.receive_text() == "hello"
            await layer.group_send("members", {"type": "news", "text": "again"})
            with pytest.raises(errors.UnexpectedFrame, match="again"):
                await ws.receive_nothing()
