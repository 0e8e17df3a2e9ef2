"""Worker consumers: what is sent to a channel's name reaches them through Channels' own worker, with an account."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.layers import get_channel_layer
from channels.routing import ChannelNameRouter
from channels.worker import Worker

from pytest_backchannel import events
from pytest_backchannel.channels.layer.install import strict_channel_layers
from pytest_backchannel.channels.layer.records import Delivered, Sent
from pytest_backchannel.channels.watch.records import HandlerStarted

pytestmark = [
    pytest.mark.asyncio,
    # Channels' own worker gives a sync consumer a plain function to send with (channels 4.2-4.3, asgiref's server.py).
    pytest.mark.filterwarnings("ignore:async_to_sync was passed a non-async-marked callable"),
]


class Thumbnails(AsyncConsumer):
    made: list[str] = []

    async def thumbnail_make(self, message):
        self.made.append(message["name"])


class SyncThumbnails(SyncConsumer):
    made: list[str] = []

    def thumbnail_make(self, message):
        self.made.append(message["name"])


@contextlib.asynccontextmanager
async def worker(consumer):
    running = Worker(ChannelNameRouter({"thumbnails": consumer.as_asgi()}), ["thumbnails"], get_channel_layer())
    task = asyncio.ensure_future(running.handle())
    try:
        yield
    finally:
        task.cancel()
        for instance in running.application_instances.values():
            instance["future"].cancel()
        await asyncio.wait([task, *(instance["future"] for instance in running.application_instances.values())])


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it has not happened within 5 s")


@pytest.mark.parametrize("consumer", [Thumbnails, SyncThumbnails])
async def test_the_handler_runs_and_its_cause_is_the_delivery(consumer):
    log = events.current_log()
    with strict_channel_layers() as layers:
        async with worker(consumer):
            await get_channel_layer().send("thumbnails", {"type": "thumbnail.make", "name": "cat"})
            await until(lambda: consumer.made)
        assert layers["default"].lost == []
    assert consumer.made.pop() == "cat"
    (sent,) = log.of(Sent)
    received, delivered = log.of(Delivered)
    started = next(event for event in log.of(HandlerStarted) if event.handler == "thumbnail_make")
    # Sent, received by the worker, handled by its consumer.
    assert [received.cause, delivered.cause, started.cause] == [sent.id, received.id, delivered.id]
    assert (received.consumer, delivered.consumer) == ("", consumer.__qualname__)


async def test_a_type_that_the_consumer_does_not_handle_is_lost():
    with strict_channel_layers() as layers:
        layer = layers["default"]
        async with worker(Thumbnails):
            await get_channel_layer().send("thumbnails", {"type": "thumbnail.mke"})
            await until(lambda: layer.lost)
        (lost,) = layer.lost
    assert (lost.reason, lost.consumer, lost.channel) == ("no_handler", "Thumbnails", "thumbnails")
    assert "its nearest handlers: thumbnail_make" in lost.text
