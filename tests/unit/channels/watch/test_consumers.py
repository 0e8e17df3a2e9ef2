"""The probe sees every consumer and handler, and leaves Channels exactly as it was."""

from __future__ import annotations

import asyncio
import threading

import pytest
from channels import consumer as channels_consumer
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ChannelNameRouter
from channels.testing import ApplicationCommunicator, WebsocketCommunicator

from pytest_backchannel import events
from pytest_backchannel.channels.watch import consumers
from pytest_backchannel.channels.watch.records import ConsumerCrashed, HandlerStarted

pytestmark = pytest.mark.asyncio


class Talker(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "crash":
            raise ValueError("broken")
        events.current_log().record(events.Event)
        await self.send(text_data=text_data)


class SyncTalker(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.scope["threads"].append(threading.current_thread())
        events.current_log().record(events.Event)
        self.send(text_data=text_data)


class OverridesDispatch(Talker):
    async def dispatch(self, message):
        await super().dispatch(message)


@pytest.fixture(autouse=True)
def probe():
    with consumers.probing():
        yield


async def opened(consumer_class, **scope):
    communicator = WebsocketCommunicator(consumer_class.as_asgi(), "/ws/talk/")
    communicator.scope.update(scope)
    await communicator.connect()
    return communicator


async def test_a_consumer_is_alive_from_connect_to_disconnect():
    communicator = await opened(Talker)
    (live,) = consumers.live_consumers()
    assert (live.name, live.path, live.handled) == ("Talker", "/ws/talk/", ["websocket.connect"])
    assert live.task is communicator.future
    assert consumers.consumer_of(live.consumer.channel_name) is live
    assert consumers.consumer_of("nobody") is None
    await communicator.disconnect()
    assert consumers.live_consumers() == ()
    assert live.handled == ["websocket.connect", "websocket.disconnect"]
    assert live.handler is None


@pytest.mark.parametrize("consumer_class", [Talker, SyncTalker, OverridesDispatch])
async def test_what_a_handler_does_is_caused_by_it(consumer_class):
    communicator = await opened(consumer_class, threads=[])
    await communicator.send_to(text_data="hello")
    assert await communicator.receive_from() == "hello"
    await communicator.disconnect()
    log = events.current_log()
    (done,) = [event for event in log.events if type(event) is events.Event]
    cause = next(event for event in log.events if event.id == done.cause)
    assert cause.headline() == f"{consumer_class.__name__}.websocket_receive"
    assert [event.handler for event in log.of(HandlerStarted)] == [
        "websocket_connect",
        "websocket_receive",
        "websocket_disconnect",
    ]


async def test_a_crash_is_recorded_with_its_line_and_ends_the_consumer():
    communicator = await opened(Talker)
    (live,) = consumers.live_consumers()
    await communicator.send_to(text_data="crash")
    with pytest.raises(ValueError, match="broken"):
        await communicator.receive_from()
    assert consumers.live_consumers() == ()
    assert isinstance(live.error, ValueError)
    (crash,) = events.current_log().of(ConsumerCrashed)
    assert crash.headline() == "Talker.websocket_receive raised ValueError: broken"
    assert crash.where.function == "Talker.receive"
    assert crash.broke


async def test_an_observer_gives_the_cause_and_sees_the_end():
    seen = []
    delivery = events.current_log().record(events.Event)

    class Watch(consumers.Observer):
        def will_handle(self, consumer, message):
            seen.append(("will", message["type"], consumer.handler))
            return delivery

        def handled(self, consumer, message):
            seen.append(("handled", message["type"], consumer.handler))

        def crashed(self, consumer, message, error):
            seen.append(("crashed", message["type"], str(error)))

    with consumers.observing(Watch()):
        communicator = await opened(Talker)
        await communicator.send_to(text_data="crash")
        with pytest.raises(ValueError, match="broken"):
            await communicator.receive_from()
    assert seen == [
        ("will", "websocket.connect", None),
        ("handled", "websocket.connect", None),
        ("will", "websocket.receive", None),
        ("crashed", "websocket.receive", "broken"),
    ]
    assert {event.cause for event in events.current_log().of(HandlerStarted)} == {delivery.id}


@pytest.mark.parametrize("base", [AsyncConsumer, SyncConsumer])
async def test_a_worker_consumer_is_known_by_the_name_in_the_router(base):
    if base is AsyncConsumer:

        async def make_thumbnail(self, message):
            pass
    else:

        def make_thumbnail(self, message):
            pass

    worker = type("Thumbnails", (base,), {"make_thumbnail": make_thumbnail})
    application = ChannelNameRouter({"thumbnails": worker.as_asgi()})
    communicator = ApplicationCommunicator(application, {"type": "channel", "channel": "thumbnails"})
    await communicator.send_input({"type": "make.thumbnail"})
    for _ in range(200):
        if events.current_log().of(HandlerStarted):
            break
        await asyncio.sleep(0.005)
    live = consumers.consumer_of("thumbnails")
    assert live.name == "Thumbnails"
    assert live.path == "thumbnails"
    communicator.stop()
    await asyncio.wait([communicator.future])


async def test_the_consumer_of_the_running_code_is_known():
    found = []

    class Asks(Talker):
        async def receive(self, text_data=None, bytes_data=None):
            found.append(consumers.current_consumer())
            await asyncio.create_task(self.later())

        async def later(self):
            found.append(consumers.current_consumer())
            await self.send(text_data="done")

    communicator = await opened(Asks)
    await communicator.send_to(text_data="x")
    await communicator.receive_from()
    assert found == [consumers.live_consumers()[0]] * 2
    assert consumers.current_consumer() is None
    await communicator.disconnect()


@pytest.fixture
def removed():
    """The probe is out, however often it was installed; and in again afterwards."""
    count = 0
    while consumers.probe.users:
        consumers.remove()
        count += 1
    yield
    for _ in range(count):
        consumers.install()


@pytest.mark.usefixtures("removed")
async def test_channels_is_restored_exactly():
    before = channels_consumer.await_many_dispatch
    with consumers.probing(), consumers.probing():
        assert channels_consumer.await_many_dispatch is not before
    assert channels_consumer.await_many_dispatch is before
    assert before.__module__ == "channels.utils"


@pytest.mark.usefixtures("removed")
async def test_a_patch_that_came_later_is_kept_and_ours_below_it_passes_through():
    original = channels_consumer.await_many_dispatch
    consumers.install()
    ours = channels_consumer.await_many_dispatch

    async def theirs(*args):
        await ours(*args)

    channels_consumer.await_many_dispatch = theirs
    consumers.remove()
    try:
        assert channels_consumer.await_many_dispatch is theirs
        communicator = await opened(Talker)
        assert consumers.live_consumers() == ()
        await communicator.disconnect()
    finally:
        channels_consumer.await_many_dispatch = original


@pytest.mark.usefixtures("removed")
async def test_a_channels_built_differently_is_a_clear_error():
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(channels_consumer, "await_many_dispatch")
        with pytest.raises(consumers.BackchannelError, match="this version of Channels is not supported"):
            consumers.install()
