"""The strict layer and the real channels-redis on a real Redis: the same scenarios, the same outcome.

Each scenario is written once, runs on both, and returns what can be seen from outside: what arrived where, and what was
raised. For the strict layer, the reasons in its account are checked as well.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid

import pytest
import time_machine
from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer
from channels.testing import ApplicationCommunicator
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from support.django_settings import configure
from support.layers import layer_in_place

from pytest_backchannel.channels.layer import layer as layer_module
from pytest_backchannel.channels.layer.kinds.semantics import LayerOptions
from pytest_backchannel.channels.layer.layer import StrictLayer
from pytest_backchannel.channels.watch.consumers import observing, probing
from pytest_backchannel.events import EventLog

configure()

pytestmark = [pytest.mark.celery_integration, pytest.mark.asyncio]

QUIET = 0.5
"""How long nothing must arrive from a real Redis to count as nothing, in seconds."""


class Strict:
    """The strict layer, for a scenario; time is virtual."""

    def __init__(self, kind, options, clock):
        self.layer = StrictLayer(kind, LayerOptions.of(options), log=EventLog())
        self.kind = kind
        self._clock = clock
        self._options = options

    async def pause(self, seconds):
        self._clock.shift(seconds)

    async def drain(self, channel):
        """The messages on a channel, until no more comes."""
        found = []
        while True:
            task = asyncio.ensure_future(self.layer.receive(channel))
            for _ in range(5):
                await asyncio.sleep(0)
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                return found
            found.append(task.result())

    async def settle(self):
        await asyncio.sleep(0.05)

    async def close(self):
        self.layer.account.find_unread(self.layer._semantics.waiting(), final=True)
        self.reasons = sorted({lost.reason for lost in self.layer.account.lost})


class Real:
    """A layer of channels-redis, for a scenario; time is real."""

    def __init__(self, kind, options, url):
        # redis-py 8 gives up after 5 s where nothing is said (channels_redis#422).
        host = {"address": url, "socket_timeout": 30}
        backend = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}[kind]
        if kind == "pubsub":
            options = {name: value for name, value in options.items() if name == "serializer_format"}
        self.layer = backend(hosts=[host], prefix=uuid.uuid4().hex, **options)
        self.kind = kind

    async def pause(self, seconds):
        await asyncio.sleep(seconds)

    async def drain(self, channel):
        found = []
        task = asyncio.ensure_future(self.layer.receive(channel))
        while (await asyncio.wait([task], timeout=QUIET))[0]:
            found.append(task.result())
            task = asyncio.ensure_future(self.layer.receive(channel))
        task.cancel()
        await asyncio.wait([task])
        return found

    async def settle(self):
        await asyncio.sleep(QUIET)

    async def close(self):
        await self.layer.flush()


async def raised(awaitable):
    """The kind of exception that a call raises, or None."""
    try:
        await awaitable
    except Exception as error:
        return next(
            kind.__name__ for kind in type(error).__mro__ if kind.__module__ in ("builtins", "channels.exceptions")
        )
    return None


async def numbers(side, channel):
    return [message["n"] for message in await side.drain(channel)]


async def joined(side, count, group="room"):
    channels = [await side.layer.new_channel() for _ in range(count)]
    for channel in channels:
        await side.layer.group_add(group, channel)
    return channels


# ----------------------------------------------------------------- scenarios


async def every_member_gets_it(side):
    first, second = await joined(side, 2)
    other = await side.layer.new_channel()
    await side.layer.group_send("room", {"type": "x", "n": 1})
    await side.layer.send(second, {"type": "x", "n": 2})
    return [await numbers(side, channel) for channel in (first, second, other)]


async def a_member_that_left_does_not(side):
    first, second = await joined(side, 2)
    await side.layer.group_discard("room", first)
    await side.layer.group_send("room", {"type": "x", "n": 1})
    return [await numbers(side, channel) for channel in (first, second)]


async def nobody_is_there(side):
    await joined(side, 1, "lobby")
    return await raised(side.layer.group_send("room", {"type": "x"}))


async def sent_before_anybody_listens(side):
    error = await raised(side.layer.send("worker", {"type": "x", "n": 1}))
    return error, await numbers(side, "worker")


async def more_than_the_capacity_to_a_group(side):
    (channel,) = await joined(side, 1)
    for n in range(5):
        await side.layer.group_send("room", {"type": "x", "n": n})
    await side.settle()
    return await numbers(side, channel)


async def more_than_the_capacity_to_a_channel(side):
    channel = await side.layer.new_channel()
    errors = [await raised(side.layer.send(channel, {"type": "x", "n": n})) for n in range(4)]
    await side.settle()
    return errors, await numbers(side, channel)


async def the_capacity_of_one_process_is_shared(side):
    first, second = [await side.layer.new_channel() for _ in range(2)]
    errors = [
        await raised(side.layer.send(channel, {"type": "x", "n": 1})) for channel in (first, first, first, second)
    ]
    await side.settle()
    return errors, await numbers(side, first), await numbers(side, second)


async def a_capacity_by_pattern(side):
    slow = [await raised(side.layer.send("slow.worker", {"type": "x", "n": n})) for n in range(3)]
    quick = [await raised(side.layer.send("worker", {"type": "x", "n": n})) for n in range(3)]
    return slow, quick


async def a_slow_consumer_beside_a_quick_one(side):
    slow, quick = await joined(side, 2)
    got = []
    for n in range(5):
        reading = asyncio.ensure_future(side.layer.receive(quick))
        await asyncio.sleep(0)
        await side.layer.group_send("room", {"type": "x", "n": n})
        got.append((await asyncio.wait_for(reading, 5))["n"])
    return got, await numbers(side, slow)


async def a_queue_that_nobody_reads_expires(side):
    await side.layer.send("worker", {"type": "x", "n": 1})
    await side.pause(2.2)
    return await numbers(side, "worker")


async def an_old_message_lives_as_long_as_its_queue(side):
    await side.layer.send("worker", {"type": "x", "n": 1})
    await side.pause(1.3)
    await side.layer.send("worker", {"type": "x", "n": 2})
    await side.pause(1.3)
    return await numbers(side, "worker")


async def sending_drops_what_is_too_old(side):
    await side.layer.send("worker", {"type": "x", "n": 1})
    for _ in range(2):
        await side.pause(1.6)
        await side.layer.send("worker", {"type": "x", "n": 2})
    return await numbers(side, "worker")


async def a_membership_expires(side):
    (channel,) = await joined(side, 1)
    await side.pause(2.2)
    await side.layer.group_send("room", {"type": "x", "n": 1})
    return await numbers(side, channel)


async def plain_values_and_tuples(side):
    channel = await side.layer.new_channel()
    await side.layer.send(channel, {"type": "x", "sizes": (1, (2, b"3")), "none": None, "é": 1.5})
    return await side.drain(channel)


async def a_datetime(side):
    (channel,) = await joined(side, 1)
    errors = [
        await raised(side.layer.send(channel, {"type": "x", "at": datetime.datetime(2026, 1, 2)})),
        await raised(side.layer.group_send("room", {"type": "x", "at": {1, 2}})),
        await raised(side.layer.group_send("room", {"type": "x", "big": 2**64})) is not None,
    ]
    return errors, await side.drain(channel)


async def a_key_that_is_no_text(side):
    """The real sender sees nothing, and the receiver dies; here the sender is told."""
    channel = await side.layer.new_channel()
    sending = await raised(side.layer.send(channel, {"type": "x", "counts": {1: 2}}))
    if sending is None:
        await side.settle()
        receiving = await raised(asyncio.wait_for(side.layer.receive(channel), 2))
    else:
        receiving = "ValueError" if await side.drain(channel) == [] else None
    return receiving


async def json_turns_such_keys_into_text(side):
    channel = await side.layer.new_channel()
    await side.layer.send(channel, {"type": "x", "counts": {1: 2}})
    return await side.drain(channel), await raised(side.layer.send(channel, {"raw": b"x"}))


async def names(side):
    channel = await side.layer.new_channel()
    return [
        await raised(side.layer.group_add("any name", channel)),
        await raised(side.layer.group_add("x" * 100, channel)),
        await raised(side.layer.group_discard("any name", channel)),
        await raised(side.layer.group_send("any name", {"type": "x"})),
        await raised(side.layer.send("any name", {"type": "x"})),
        await raised(side.layer.group_add("room", "made-up")),
    ]


async def a_message_that_is_none(side):
    channel = await side.layer.new_channel()
    return await raised(side.layer.send(channel, "text"))


async def consumers_of_one_process_share_the_message(side):
    first, second = await joined(side, 2)
    await side.layer.group_send("room", {"type": "x", "n": 1})
    message = await asyncio.wait_for(side.layer.receive(first), 5)
    message.pop("type")
    return await side.drain(second)


async def a_reader_that_is_cancelled(side):
    (channel,) = await joined(side, 1)
    reading = asyncio.ensure_future(side.layer.receive(channel))
    await side.settle()
    reading.cancel()
    await asyncio.wait([reading])
    await side.layer.group_send("room", {"type": "x", "n": 1})
    await side.settle()
    return await numbers(side, channel)


async def from_another_event_loop(side):
    (channel,) = await joined(side, 1)
    reading = asyncio.ensure_future(side.layer.receive(channel))
    await asyncio.sleep(0)
    await asyncio.to_thread(lambda: async_to_sync(side.layer.group_send)("room", {"type": "x", "n": 1}))
    return await asyncio.wait_for(reading, 5)


class Room(AsyncConsumer):
    async def room_open(self, event):
        await self.channel_layer.group_add("room", self.channel_name)
        await self.send({"type": "opened"})

    async def room_message(self, event):
        await self.send({"type": "got", "n": event["n"]})


async def answer(consumer):
    """What a consumer says next, in 5 s; raises what ended it, as soon as it has ended."""
    reading = asyncio.ensure_future(consumer.receive_output(5))
    await asyncio.wait([reading, consumer.future], return_when=asyncio.FIRST_COMPLETED)
    if consumer.future.done():
        reading.cancel()
        await asyncio.wait([reading])
        consumer.future.result()
    return await reading


async def talk(side, *sent):
    """Open a consumer, send to its group, and say what it did with each message."""
    with layer_in_place(side.layer):
        consumer = ApplicationCommunicator(Room(), {"type": "test"})
        await consumer.send_input({"type": "room.open"})
        await consumer.receive_output(5)
        said = []
        for message in sent:
            await side.layer.group_send("room", message)
            try:
                said.append((await answer(consumer))["n"])
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
                return said
        await consumer.send_input({"type": "room.open"})
        consumer.stop()
        await asyncio.wait([consumer.future])
        await side.settle()
        await side.layer.group_send("room", {"type": "room.message", "n": "to one that has gone"})
        return said


async def a_consumer_handles_it(side):
    return await talk(side, {"type": "room.message", "n": 1}, {"type": "room.message", "n": 2})


async def a_consumer_without_a_handler_dies(side):
    return await talk(side, {"type": "room.message", "n": 1}, {"type": "room.mesage", "n": 2})


async def a_consumer_given_no_type_dies(side):
    return await talk(side, {"n": 1})


BOTH = ("core", "pubsub")
SCENARIOS = [
    # scenario, kinds, options, reasons in the account of the strict layer by kind
    (every_member_gets_it, BOTH, {}, ([], [])),
    (a_member_that_left_does_not, BOTH, {}, ([], [])),
    (nobody_is_there, BOTH, {}, (["no_members"], ["no_members"])),
    (sent_before_anybody_listens, BOTH, {}, ([], ["no_members"])),
    (more_than_the_capacity_to_a_group, BOTH, {"capacity": 3}, (["over_capacity"], [])),
    (more_than_the_capacity_to_a_channel, BOTH, {"capacity": 3}, (["over_capacity"], [])),
    (the_capacity_of_one_process_is_shared, BOTH, {"capacity": 3}, (["over_capacity"], [])),
    (a_capacity_by_pattern, ("core",), {"channel_capacity": {"slow*": 1}}, (["over_capacity", "unread"],)),
    (a_slow_consumer_beside_a_quick_one, BOTH, {"capacity": 2}, (["over_capacity"], [])),
    (a_queue_that_nobody_reads_expires, ("core",), {"expiry": 2}, (["expired"],)),
    (an_old_message_lives_as_long_as_its_queue, ("core",), {"expiry": 2}, ([],)),
    (sending_drops_what_is_too_old, ("core",), {"expiry": 2}, (["expired"],)),
    (a_membership_expires, ("core",), {"group_expiry": 2}, (["no_members"],)),
    (plain_values_and_tuples, BOTH, {}, ([], [])),
    (a_datetime, BOTH, {}, (["not_serialisable"], ["not_serialisable"])),
    (a_key_that_is_no_text, BOTH, {}, (["not_serialisable"], ["not_serialisable"])),
    (
        json_turns_such_keys_into_text,
        BOTH,
        {"serializer_format": "json"},
        (["not_serialisable"], ["not_serialisable"]),
    ),
    (names, BOTH, {}, ([], ["no_members"])),
    (a_message_that_is_none, BOTH, {}, ([], ["unread"])),
    (consumers_of_one_process_share_the_message, BOTH, {}, ([], [])),
    (a_reader_that_is_cancelled, BOTH, {}, ([], ["unread"])),
    (from_another_event_loop, BOTH, {}, ([], [])),
    (a_consumer_handles_it, BOTH, {}, (["unread"], ["unread"])),
    (a_consumer_without_a_handler_dies, BOTH, {}, (["no_handler"], ["no_handler"])),
    (a_consumer_given_no_type_dies, BOTH, {}, (["no_handler"], ["no_handler"])),
]
CASES = [
    pytest.param(scenario, kind, options, expected, id=f"{scenario.__name__}-{kind}")
    for scenario, kinds, options, reasons in SCENARIOS
    for kind, expected in zip(kinds, reasons, strict=True)
]


@pytest.mark.parametrize(("scenario", "kind", "options", "reasons"), CASES)
async def test_the_strict_layer_does_what_the_real_one_does(
    scenario, kind, options, reasons, redis_server, monkeypatch
):
    monkeypatch.setattr(layer_module, "PATIENCE", 0.01)
    real = Real(kind, options, redis_server.url)
    try:
        seen = await scenario(real)
    finally:
        await real.close()
    with time_machine.travel(1_800_000_000.5, tick=False) as clock, probing():
        strict = Strict(kind, options, clock)
        with observing(strict.layer.account):
            assert await scenario(strict) == seen
        await strict.close()
    assert strict.reasons == reasons


@pytest.mark.parametrize("name", ["send", "group_send", "group_add", "group_discard"])
@pytest.mark.parametrize("kind", BOTH)
async def test_refuse_raises_what_the_real_one_raises_whose_redis_is_gone(kind, name, redis_server):
    real, strict = Real(kind, {}, redis_server.url).layer, StrictLayer(kind, LayerOptions(), log=EventLog())
    channels = {layer: await layer.new_channel() for layer in (real, strict)}
    for layer, channel in channels.items():
        await layer.group_add("lobby", channel)
    redis_server.stop()
    await asyncio.sleep(QUIET)  # until redis-py has seen that its connections are gone: what it writes before is lost
    strict.refuse()

    def call(layer):
        message, channel = {"type": "x"}, channels[layer]
        arguments = {"send": (channel, message), "group_send": ("room", message), "group_add": ("room", channel)}
        return getattr(layer, name)(*arguments.get(name, ("lobby", channel)))

    with pytest.raises(Exception, match="Redis") as here:
        await call(strict)
    with pytest.raises(type(here.value)) as there:
        await call(real)
    assert type(there.value) is type(here.value)


@pytest.mark.parametrize("name", ["group_add", "group_discard"])
async def test_pubsub_says_nothing_to_redis_of_a_second_member(name, redis_server):
    real, strict = Real("pubsub", {}, redis_server.url).layer, StrictLayer("pubsub", LayerOptions(), log=EventLog())
    channels = {layer: [await layer.new_channel() for _ in range(3)] for layer in (real, strict)}
    for layer, (first, second, _) in channels.items():
        await layer.group_add("lobby", first)
        await layer.group_add("lobby", second)
    redis_server.stop()
    await asyncio.sleep(QUIET)
    strict.refuse()
    for layer, (_, second, third) in channels.items():
        await getattr(layer, name)("lobby", third if name == "group_add" else second)


async def test_an_idle_consumer_dies_with_redis_py_8_unless_the_socket_may_wait(redis_server):
    """facts: channels-redis 4.3 with redis-py 8; here the timeout is 1 s, so as not to wait for the default of 5."""
    import redis

    hasty = RedisChannelLayer(hosts=[{"address": redis_server.url, "socket_timeout": 1}], prefix=uuid.uuid4().hex)
    with pytest.raises(redis.TimeoutError):
        await hasty.receive("worker")
    await hasty.close_pools()
    patient = RedisChannelLayer(hosts=[{"address": redis_server.url, "socket_timeout": 30}], prefix=uuid.uuid4().hex)
    reading = asyncio.ensure_future(patient.receive("worker"))
    assert not (await asyncio.wait([reading], timeout=1.5))[0]
    await patient.send("worker", {"type": "x"})
    assert await asyncio.wait_for(reading, 5) == {"type": "x"}
    await patient.flush()


@pytest.mark.parametrize("process", [False, True], ids=["a channel by its name", "a channel of one process"])
async def test_a_receive_that_waits_while_the_layer_is_flushed_raises(redis_server, process):
    import redis

    layer = RedisChannelLayer(hosts=[{"address": redis_server.url, "socket_timeout": 30}], prefix=uuid.uuid4().hex)
    channel = await layer.new_channel() if process else "worker"
    reading = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(QUIET)
    await layer.flush()
    with pytest.raises(redis.ConnectionError):
        await asyncio.wait_for(reading, 5)
