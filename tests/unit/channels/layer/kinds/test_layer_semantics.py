"""The strict layer alone: what it keeps, drops and forgets, in both kinds of production layer."""

from __future__ import annotations

import asyncio
import threading

import pytest
import redis
import time_machine
from asgiref.sync import async_to_sync, sync_to_async
from channels.exceptions import ChannelFull

from pytest_backchannel.channels.layer import layer as layer_module
from pytest_backchannel.channels.layer.kinds.semantics import LayerOptions
from pytest_backchannel.channels.layer.layer import StrictLayer
from pytest_backchannel.errors import BackchannelError, NotSerialisable
from pytest_backchannel.events import EventLog


def make(kind="core", **options):
    return StrictLayer(kind, LayerOptions.of(options), log=EventLog())


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(layer_module, "PATIENCE", 0.01)


@pytest.fixture(params=["core", "pubsub"])
def layer(request):
    return make(request.param)


async def received(layer, channel, count):
    return [(await asyncio.wait_for(layer.receive(channel), 1))["n"] for _ in range(count)]


async def is_empty(layer, channel):
    task = asyncio.ensure_future(layer.receive(channel))
    for _ in range(5):
        await asyncio.sleep(0)
    empty = not task.done()
    task.cancel()
    await asyncio.wait([task])
    return empty


def reasons(layer):
    return [lost.reason for lost in layer.lost]


@pytest.mark.asyncio
async def test_a_group_send_reaches_every_member_and_no_other(layer):
    first, second, other = [await layer.new_channel() for _ in range(3)]
    await layer.group_add("room", first)
    await layer.group_add("room", second)
    await layer.group_add("lobby", other)
    await layer.group_send("room", {"type": "x", "n": 1})
    assert await received(layer, first, 1) == await received(layer, second, 1) == [1]
    assert await is_empty(layer, other)
    assert layer.members("room") == [first, second]
    assert layer.group_sends[0].members == (first, second)
    await layer.group_discard("room", first)
    await layer.group_discard("room", first)
    assert layer.members("room") == [second]
    assert layer.lost == []


@pytest.mark.asyncio
async def test_messages_arrive_in_the_order_of_sending_and_as_copies(layer):
    channel = await layer.new_channel()
    message = {"type": "x", "n": 0, "sizes": (1, 2)}
    for n in range(3):
        message["n"] = n
        await layer.send(channel, message)
    message["sizes"] = None
    first = await layer.receive(channel)
    assert first == {"type": "x", "n": 0, "sizes": [1, 2]}
    assert await received(layer, channel, 2) == [1, 2]


@pytest.mark.asyncio
async def test_a_waiting_reader_gets_it_and_a_cancelled_one_loses_nothing():
    layer = make()
    channel = await layer.new_channel()
    reader = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    reader = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    sending = asyncio.ensure_future(layer.send(channel, {"type": "x", "n": 1}))
    await asyncio.sleep(0)
    # It was given the message in this very turn, and is cancelled before it could return it.
    reader.cancel()
    await asyncio.wait([reader, sending])
    assert reader.cancelled()
    assert await received(layer, channel, 1) == [1]


@pytest.mark.asyncio
async def test_on_pub_sub_a_channel_ends_when_its_reader_is_cancelled():
    layer = make("pubsub")
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    reader = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    await layer.group_send("room", {"type": "x", "n": 1})
    await layer.send(channel, {"type": "x", "n": 2})
    assert [(lost.reason, lost.group) for lost in layer.lost] == [("unread", "room"), ("no_members", "")]
    assert "group_discard" in layer.lost[0].text
    assert "pub/sub keeps nothing" in layer.lost[1].text


@pytest.mark.asyncio
async def test_core_keeps_what_is_sent_before_anybody_listens_and_pub_sub_does_not():
    core, pubsub = make("core"), make("pubsub")
    for each in (core, pubsub):
        await each.send("worker", {"type": "x", "n": 1})
    assert await received(core, "worker", 1) == [1]
    assert await is_empty(pubsub, "worker")
    assert (reasons(core), reasons(pubsub)) == ([], ["no_members"])


@pytest.mark.asyncio
async def test_over_capacity_the_newest_is_dropped_and_a_single_send_raises():
    layer = make(capacity=3)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for n in range(5):
        await layer.group_send("room", {"type": "x", "n": n})
    with pytest.raises(ChannelFull):
        await layer.send(channel, {"type": "x", "n": 5})
    assert await received(layer, channel, 3) == [0, 1, 2]
    assert reasons(layer) == ["over_capacity"] * 3
    assert "3 messages were waiting that nobody read (capacity)" in layer.lost[0].text


@pytest.mark.asyncio
async def test_channel_capacity_goes_by_the_first_pattern_that_matches():
    layer = make(capacity=5, channel_capacity={"slow*": 1, "*": 2})
    for channel, fits in (("slow", 1), ("quick", 2)):
        for _ in range(fits):
            await layer.send(channel, {"type": "x"})
        with pytest.raises(ChannelFull):
            await layer.send(channel, {"type": "x"})


@pytest.mark.asyncio
async def test_core_the_consumers_of_one_process_share_the_capacity():
    layer = make(capacity=2)
    first, second = [await layer.new_channel() for _ in range(2)]
    await layer.send(first, {"type": "x"})
    await layer.send(first, {"type": "x"})
    with pytest.raises(ChannelFull):
        await layer.send(second, {"type": "x"})


@pytest.mark.asyncio
async def test_core_while_others_read_a_consumer_that_does_not_loses_its_oldest():
    layer = make(capacity=2)
    slow, quick = [await layer.new_channel() for _ in range(2)]
    for channel in (slow, quick):
        await layer.group_add("room", channel)
    for n in range(4):
        await layer.group_send("room", {"type": "x", "n": n})
        assert await received(layer, quick, 1) == [n]
    assert await received(layer, slow, 2) == [2, 3]
    assert [(lost.reason, lost.channel) for lost in layer.lost] == [("over_capacity", slow)] * 2
    assert "drops the oldest of them, and logs nothing" in layer.lost[0].text


@pytest.mark.asyncio
async def test_a_burst_that_a_reader_keeps_up_with_loses_nothing():
    layer = make(capacity=2)
    channel = await layer.new_channel()
    reading = asyncio.ensure_future(received(layer, channel, 50))
    for n in range(50):
        await layer.send(channel, {"type": "x", "n": n})
    assert await reading == list(range(50))


@pytest.mark.asyncio
async def test_pub_sub_is_unbounded():
    layer = make("pubsub", capacity=2)
    channel = await layer.new_channel()
    for n in range(50):
        await layer.send(channel, {"type": "x", "n": n})
    assert await received(layer, channel, 50) == list(range(50))


@pytest.mark.asyncio
async def test_core_a_queue_expires_as_a_whole_after_its_last_message():
    layer = make(expiry=60)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        await layer.send("worker", {"type": "x", "n": 1})
        clock.shift(40)
        await layer.send("worker", {"type": "x", "n": 2})
        clock.shift(30)
        # The first is 70 s old: Redis drops it only when another is sent, or with the whole queue.
        assert await received(layer, "worker", 1) == [1]
        clock.shift(29)
        assert reasons(layer) == []
        clock.shift(1)
        assert reasons(layer) == ["expired"]
        assert "it had waited for 60 s; expiry is 60 s" in layer.lost[0].text
        assert await is_empty(layer, "worker")


@pytest.mark.asyncio
async def test_core_sending_drops_what_is_too_old():
    layer = make(expiry=60)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        for n, pause in ((1, 40), (2, 30), (3, 0)):
            await layer.send("worker", {"type": "x", "n": n})
            clock.shift(pause)
        assert await received(layer, "worker", 2) == [2, 3]
        assert reasons(layer) == ["expired"]


@pytest.mark.asyncio
async def test_core_a_channel_leaves_its_groups_after_group_expiry():
    layer = make(group_expiry=100)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        await layer.group_add("room", "first")
        clock.shift(60)
        await layer.group_add("room", "second")
        clock.shift(41)
        assert layer.members("room") == ["second"]
        clock.shift(59)
        assert layer.members("room") == []
        await layer.group_send("room", {"type": "x"})
    assert [(lost.reason, lost.text) for lost in layer.lost] == [("no_members", "everybody has left the group 'room'")]


@pytest.mark.asyncio
async def test_pub_sub_memberships_and_messages_do_not_expire():
    layer = make("pubsub", expiry=1, group_expiry=1)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "x", "n": 1})
        clock.shift(1000)
        assert layer.members("room") == [channel]
        assert await received(layer, channel, 1) == [1]


@pytest.mark.parametrize("name", ["", "a b", "é", "room!", "x" * 100, 7])
@pytest.mark.asyncio
async def test_core_refuses_names_and_pub_sub_does_not(name):
    core = make("core")
    with pytest.raises(TypeError, match="Group name must be a valid unicode string"):
        await core.group_send(name, {"type": "x"})
    with pytest.raises(TypeError, match="Group name"):
        await core.group_add(name, "channel")
    with pytest.raises(TypeError, match="Group name"):
        core.members(name)
    pubsub = make("pubsub")
    await pubsub.group_add(name, await pubsub.new_channel())
    assert len(pubsub.members(name)) == 1


@pytest.mark.asyncio
async def test_core_refuses_channel_names_and_messages_that_are_none():
    layer = make()
    for call in (layer.receive("a b"), layer.send("a b", {"type": "x"}), layer.group_add("room", "a b")):
        with pytest.raises(TypeError, match="Channel name must be a valid unicode string"):
            await call
    with pytest.raises(AssertionError, match="message is not a dict: 'x'"):
        await layer.send("channel", "x")
    with pytest.raises(AssertionError, match="reserved by channels-redis"):
        await layer.send("channel", {"__asgi_channel__": "x"})
    with pytest.raises(AssertionError, match="Wrong client prefix"):
        await layer.receive("specific.other!x")


@pytest.mark.asyncio
async def test_pub_sub_lets_only_its_own_channels_join():
    layer = make("pubsub")
    with pytest.raises(RuntimeError, match="was not made in this process"):
        await layer.group_add("room", "worker")
    channel = await layer.new_channel()

    def elsewhere():
        asyncio.run(layer.group_add("room", channel))

    with pytest.raises(RuntimeError, match="belongs to another event loop"):
        await asyncio.to_thread(elsewhere)


@pytest.mark.asyncio
async def test_what_cannot_be_carried_is_refused_whether_or_not_anybody_listens(layer):
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for call in (
        layer.send(channel, {"ids": {1}}),
        layer.group_send("room", {"n": {1: 2}}),
        layer.group_send("empty", {"n": {1}}),
    ):
        with pytest.raises(NotSerialisable):
            await call
    assert await is_empty(layer, channel)
    assert [lost.reason for lost in layer.lost if lost.reason != "no_members"] == ["not_serialisable"] * 3


@pytest.mark.asyncio
async def test_core_the_consumers_of_one_process_share_the_message_and_pub_sub_copies_it():
    for kind, second in (("core", {"n": 1}), ("pubsub", {"type": "x", "n": 1})):
        layer = make(kind)
        channels = [await layer.new_channel() for _ in range(2)]
        for channel in channels:
            await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "x", "n": 1})
        (await layer.receive(channels[0])).pop("type")
        assert await layer.receive(channels[1]) == second


@pytest.mark.asyncio
async def test_flush_forgets_everything(layer):
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.send(channel, {"type": "x"})
    await layer.flush()
    assert layer.members("room") == []
    assert await is_empty(layer, channel)
    assert [lost.text for lost in layer.lost] == ["the layer was flushed before it was read"]


@pytest.mark.asyncio
async def test_core_a_receive_that_waits_while_the_layer_is_flushed_loses_its_connection():
    layer = make("core")
    own = await layer.new_channel()
    for channel, others in (("worker", []), (own, [own])):
        reading = asyncio.ensure_future(layer.receive(channel))
        waiting = [asyncio.ensure_future(layer.receive(other)) for other in others]
        await asyncio.sleep(0)
        await layer.flush()
        with pytest.raises(redis.ConnectionError, match="flushed while receive"):
            await reading
        # Of the consumers of one process only one reads from Redis at a time.
        await layer.send(channel, {"type": "x"})
        message = waiting[0] if waiting else layer.receive(channel)
        assert await asyncio.wait_for(message, 1) == {"type": "x"}


@pytest.mark.asyncio
async def test_core_what_a_process_has_taken_from_redis_for_another_channel_survives_a_flush():
    layer = make("core")
    first, second = [await layer.new_channel() for _ in range(2)]
    reading = asyncio.ensure_future(layer.receive(first))
    await asyncio.sleep(0)
    await layer.send(second, {"type": "x"})
    await layer.flush()
    await asyncio.wait([reading])
    assert isinstance(reading.exception(), redis.ConnectionError)
    assert await asyncio.wait_for(layer.receive(second), 1) == {"type": "x"}
    assert layer.lost == []


@pytest.mark.asyncio
async def test_pub_sub_a_receive_that_waits_while_the_layer_is_flushed_goes_on_waiting():
    layer = make("pubsub")
    reading = asyncio.ensure_future(layer.receive(await layer.new_channel()))
    await asyncio.sleep(0)
    await layer.flush()
    assert not (await asyncio.wait([reading], timeout=0.01))[0]
    reading.cancel()


@pytest.mark.parametrize("sender", ["async_to_sync in a thread", "a loop of its own", "sync_to_async"])
@pytest.mark.asyncio
async def test_a_message_reaches_a_reader_on_another_event_loop(layer, sender):
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    reading = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)

    def work():
        async_to_sync(layer.group_send)("room", {"type": "x", "from": threading.get_ident()})

    if sender == "a loop of its own":
        await asyncio.to_thread(
            lambda: asyncio.run(layer.group_send("room", {"type": "x", "from": threading.get_ident()}))
        )
    elif sender == "sync_to_async":
        await sync_to_async(work)()
    else:
        await asyncio.to_thread(work)
    message = await asyncio.wait_for(reading, 1)
    assert message["from"] != threading.get_ident()
    # The line of the project, not one of the loop or the thread that carried it.
    where = layer.group_sends[0].where
    assert where.path == __file__
    assert where.function.endswith(("work", "<lambda>"))


@pytest.mark.asyncio
async def test_many_threads_lose_nothing():
    layer = make(capacity=1000)
    channel = await layer.new_channel()

    def work(offset):
        for n in range(50):
            async_to_sync(layer.send)(channel, {"type": "x", "n": offset + n})

    jobs = [asyncio.to_thread(work, offset) for offset in (0, 50, 100, 150)]
    done = asyncio.gather(*jobs)
    assert sorted(await received(layer, channel, 200)) == list(range(200))
    await done


def test_a_reader_of_a_closed_loop_is_passed_over():
    layer = make()
    loop = asyncio.new_event_loop()
    task = loop.create_task(layer.receive("worker"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    task._log_destroy_pending = False
    asyncio.run(layer.send("worker", {"type": "x", "n": 1}))
    assert asyncio.run(received(layer, "worker", 1)) == [1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"capacity": 0}, "capacity = 0: give a number above 0"),
        ({"expiry": "60"}, "expiry = '60': give a number above 0"),
        ({"channel_capacity": [1]}, "channel_capacity = [1]: give a dict from pattern to number"),
        ({"channel_capacity": {"*": "2"}}, "channel_capacity = {'*': '2'}: give a dict from pattern to number"),
        ({"serializer_format": "yaml"}, "serializer_format = 'yaml'"),
    ],
)
@pytest.mark.asyncio
async def test_options_that_production_could_not_use_are_an_error(options, text):
    with pytest.raises(BackchannelError) as caught:
        make(**options)
    assert text in str(caught.value)


@pytest.mark.asyncio
async def test_an_unknown_kind_is_an_error_that_names_the_choices():
    with pytest.raises(BackchannelError, match="'redis': choose one of 'core', 'pubsub'"):
        make("redis")
