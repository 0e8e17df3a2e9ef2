"""The channel_layer fixture, as a project's tests see it."""

from __future__ import annotations

import pytest

CONSUMERS = """
    from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
    from channels.testing import WebsocketCommunicator
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    class Room(AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept()

        async def disconnect(self, code):
            await self.channel_layer.group_discard("room", self.channel_name)

        async def room_message(self, event):
            text = event["text"]
            await self.send_json({"text": text})

    class Leaky(Room):
        async def disconnect(self, code):
            pass

    class SyncRoom(JsonWebsocketConsumer):
        groups = ["room"]

        def room_message(self, event):
            self.send_json({"text": event["text"]})

    async def connected(consumer):
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        await communicator.connect()
        return communicator
"""


@pytest.fixture
def consumers(project):
    project.write("consumers.py", CONSUMERS)
    return project


def test_group_sends_reach_consumers_from_everywhere_and_are_accounted_for(consumers):
    consumers.ini("asyncio_mode = auto")
    result = consumers.test(
        """
        import asyncio
        import pytest
        from channels.layers import get_channel_layer, channel_layers
        from asgiref.sync import async_to_sync, sync_to_async
        from dirty_equals import IsPartialDict, IsStr
        from pytest_backchannel.channels.layer.layer import StrictLayer
        from consumers import *

        at_import = get_channel_layer()
        message = {"type": "room.message", "text": "hello"}

        @pytest.mark.parametrize("consumer", [Room, SyncRoom])
        @pytest.mark.parametrize("layer", ["asked for now", "asked for at import"])
        async def test_a_group_send_is_delivered(channel_layer, consumer, layer):
            assert get_channel_layer() is channel_layer
            browser = await connected(consumer)
            await (channel_layer if layer == "asked for now" else at_import).group_send("room", message)
            assert await browser.receive_json_from() == {"text": "hello"}
            sent = channel_layer.assert_group_sent("room", message)
            assert channel_layer.members("room") == list(sent.members)
            assert sent.where.function == "test_a_group_send_is_delivered"
            await browser.disconnect()
            assert channel_layer.members("room") == []
            assert channel_layer.lost == []

        async def test_a_task_in_a_thread_reaches_a_consumer_on_the_tests_loop(channel_layer):
            browser = await connected(Room)

            def task():
                async_to_sync(get_channel_layer().group_send)("room", message)

            await sync_to_async(task)()
            assert await browser.receive_json_from() == {"text": "hello"}
            await asyncio.to_thread(task)
            assert await browser.receive_json_from() == {"text": "hello"}
            assert [sent.where.function.rpartition(".")[2] for sent in channel_layer.group_sends] == ["task", "task"]
            await browser.disconnect()

        def test_sync_code_is_asserted_without_any_consumer(channel_layer):
            async_to_sync(get_channel_layer().group_send)("room", {**message, "sizes": (1, 2)})
            sent = channel_layer.assert_group_sent("room", {**message, "sizes": (1, 2)})
            assert sent.message["sizes"] == [1, 2]
            channel_layer.assert_group_sent("room", IsPartialDict(text=IsStr(regex="h.*")), count=1)
            channel_layer.assert_group_sent("room")
            channel_layer.assert_not_group_sent("lobby")
            channel_layer.assert_not_group_sent("room", message)

        def test_it_is_fresh_in_each_test(channel_layer):
            assert channel_layer.group_sends == [] and channel_layer.members("room") == []

        def test_the_project_has_its_own_layer_back():
            assert get_channel_layer() is at_import
            assert type(at_import).__name__ == "InMemoryChannelLayer"
            assert not [name for name in vars(at_import) if name in dir(type(at_import))]
            assert "make_backend" not in vars(channel_layers)

        def test_overridden_settings_do_not_take_it_away(channel_layer, settings):
            settings.CHANNEL_LAYERS = {
                "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
                "other": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
            }
            assert get_channel_layer() is channel_layer
            assert isinstance(get_channel_layer("other"), StrictLayer)
            assert get_channel_layer("none") is None

        def test_and_the_setting_is_as_before():
            assert get_channel_layer() is at_import
            assert get_channel_layer("other") is None

        kept = []

        def test_a_layer_that_is_kept_beyond_its_test(channel_layer):
            kept.append(get_channel_layer())

        def test_sends_to_the_layer_of_the_next_one(channel_layer):
            async_to_sync(kept[0].group_send)("room", message)
            channel_layer.assert_group_sent("room")

        def test_and_then_to_the_projects_own():
            channel = async_to_sync(kept[0].new_channel)()
            async_to_sync(kept[0].group_add)("kept", channel)
            assert channel in at_import.groups.pop("kept")
        """
    )
    result.assert_outcomes(passed=13)


def test_a_failed_assertion_shows_the_nearest_with_its_call_site(consumers):
    result = consumers.test(
        """
        import pytest
        from asgiref.sync import async_to_sync
        from dirty_equals import IsInt

        def send(layer, group, **message):
            async_to_sync(layer.group_send)(group, message)

        @pytest.fixture
        def layer(channel_layer):
            send(channel_layer, "lobby", type="room.message", text="hello")
            send(channel_layer, "room", type="room.message", text="hello", n=1)
            send(channel_layer, "room", type="room.closed")
            return channel_layer

        def test_other_message(layer):
            layer.assert_group_sent("room", {"type": "room.message", "text": "hullo", "at": IsInt()})

        def test_other_group(layer):
            layer.assert_group_sent("rooom", {"type": "room.message"})

        def test_other_number(layer):
            layer.assert_group_sent("room", count=3)

        def test_unwanted(layer):
            layer.assert_not_group_sent("lobby")

        def test_nothing_at_all(channel_layer):
            channel_layer.assert_group_sent("room")

        def test_a_count_of_none(channel_layer):
            with pytest.raises(ValueError, match="count = 0: give 1 or more; assert_not_group_sent"):
                channel_layer.assert_group_sent("room", count=0)
        """,
    )
    result.assert_outcomes(passed=1, failed=5)
    result.stdout.fnmatch_lines(
        [
            "*GroupSendNotFound: wanted a group send to 'room' of {'type': 'room.message', 'text': 'hullo', 'at'*",
            "E *the nearest of 2 to this group  [[]test_it.py:7[]]:",
            "E *    'type': 'room.message'",
            "E *  ! 'text': 'hello', wanted 'hullo'",
            "E *  + 'n': 1 was not wanted",
            "E *  - 'at' is missing; wanted IsInt*",
            "E *the others:",
            "E *    to 'lobby': {'type': 'room.message', 'text': 'hello'}  [[]test_it.py:7[]]",
            "*GroupSendNotFound: wanted a group send to 'rooom' of {'type': 'room.message'}",
            "E *nothing was sent to 'rooom'; the group sends were:",
            "*GroupSendNotFound: wanted 3 group sends to 'room', found 2:",
            "*GroupSendNotFound: wanted no group sends to 'lobby', found 1:",
            "*GroupSendNotFound: wanted a group send to 'room'; nothing was sent to any group",
        ]
    )


LOSSES = """
    import asyncio
    import pytest
    from channels.exceptions import ChannelFull
    from channels.layers import get_channel_layer
    from pytest_backchannel.errors import NotSerialisable
    from consumers import *

    pytestmark = [pytest.mark.asyncio, pytest.mark.allow_lost(ALLOWED)]

    async def send(**message):
        await get_channel_layer().group_send("room", message)

    async def test_no_handler(layer):
        browser = await connected(Room)
        await send(type="room.mesage", text="hello")
        await browser.receive_nothing()
        layer()

    async def test_no_type(layer):
        browser = await connected(Room)
        await send(text="hello")
        await browser.receive_nothing()
        layer()

    async def test_over_capacity(layer):
        channel = await get_channel_layer().new_channel()
        await get_channel_layer().group_add("room", channel)
        for _ in range(7):
            await send(type="room.message")
        for _ in range(5):
            await get_channel_layer().receive(channel)
        layer()

    async def test_channel_full_that_nobody_sees(layer):
        for _ in range(6):
            try:
                await get_channel_layer().send("thumbnails", {"type": "make"})
            except ChannelFull:
                pass
        for _ in range(5):
            await get_channel_layer().receive("thumbnails")
        layer()

    async def test_not_serialisable(layer):
        browser = await connected(Room)
        try:
            await send(type="room.message", text="now", tags={1})
        except NotSerialisable:
            pass
        await browser.disconnect()
        layer()

    async def test_no_members(layer):
        browser = await connected(Room)
        await get_channel_layer().group_send("rooom", {"type": "room.message", "text": "hello"})
        await browser.disconnect()
        layer()

    async def test_everybody_has_left(layer):
        browser = await connected(Room)
        await browser.disconnect()
        await send(type="room.message", text="hello")
        layer()

    async def test_unread_by_one_that_never_left_its_group(layer):
        browser = await connected(Leaky)
        await browser.disconnect()
        await send(type="room.message", text="hello")
        layer()

    async def test_unread_by_nobody(layer):
        browser = await connected(Room)
        await get_channel_layer().send("thumbnails", {"type": "make"})
        await browser.disconnect()
        layer()

    async def test_only_the_sender_is_tested(layer):
        await get_channel_layer().group_send("room", {"type": "room.message", "text": "hello"})
        await get_channel_layer().send("thumbnails", {"type": "make"})
        layer()

"""
HELLO = "{'type': 'room.message', 'text': 'hello'}"
SAID = {
    "test_no_handler": "no_handler: group_send('room', {'type': 'room.mesage', 'text': 'hello'}) to Room: "
    "consumers.Room has no method room_mesage for 'room.mesage', and died of it; its nearest handlers: room_message",
    "test_no_type": "no_handler: group_send('room', {'text': 'hello'}) to Room: consumers.Room died of a message",
    "test_over_capacity": "over_capacity: group_send('room', {'type': 'room.message'}) (2 times): dropped, for 5 "
    "messages were waiting that nobody read (capacity)",
    "test_channel_full_that_nobody_sees": "over_capacity: send('thumbnails', {'type': 'make'}): dropped, for 5",
    "test_no_members": f"group_send('rooom', {HELLO}): nobody is in the group 'rooom'; groups with members: 'room' (1)",
    "test_unread_by_one_that_never_left_its_group": f"group_send('room', {HELLO}) to Leaky: Leaky has ended, and its "
    "channel is still in the group 'room': a consumer that ends must group_discard its channel",
    "test_unread_by_nobody": "send('thumbnails', {'type': 'make'}): nobody has received from the channel 'thumbnails'",
}
FATAL = {
    "test_no_handler",
    "test_no_type",
    "test_over_capacity",
    "test_channel_full_that_nobody_sees",
    "test_not_serialisable",
}
MILD = {"test_no_members", "test_unread_by_one_that_never_left_its_group", "test_unread_by_nobody"}


def losses(fixture, allowed=None):
    """The tests above, with a fixture ``layer`` that each calls at its end, and the slugs that may pass."""
    return LOSSES.replace("ALLOWED", allowed or "'enqueued_in_transaction'") + fixture


def outcomes(result):
    """What became of each test, by its name."""
    return {
        line.split("::")[1].split()[0]: line.split()[1]
        for line in result.outlines
        if "::" in line and line.split()[1:2] and line.split()[1] in ("PASSED", "FAILED", "ERROR")
    }


@pytest.mark.parametrize("way", ["fixture", "strict"])
def test_each_loss_fails_or_warns_and_says_why(consumers, way):
    consumers.settings("CHANNEL_LAYERS['default']['CONFIG'] = {'capacity': 5}")
    consumers.ini(*["backchannel_strict = true"] * (way == "strict"))
    # With strict it is the project's own layer that is judged; what a test leaves in it is there in the next.
    fixture = (
        """
    @pytest.fixture
    def layer(channel_layer):
        return lambda: None
    """
        if way == "fixture"
        else """
    @pytest.fixture
    def layer():
        yield lambda: None
        get_channel_layer().groups.clear()
        get_channel_layer().channels.clear()
    """
    )
    result = consumers.test(losses(fixture), "-v", "-Wdefault::pytest_backchannel.errors.BackchannelWarning")
    found = outcomes(result)
    # Whether or not anything was sent to it meanwhile, a channel that is left in its group is told by itself.
    left = {"test_unread_by_one_that_never_left_its_group"}
    fatal = FATAL | left if way == "strict" else FATAL
    assert {name for name, outcome in found.items() if outcome == "FAILED"} == fatal, result.stdout.str()
    assert len(found) == 10
    text = result.stdout.str()
    for name, said in SAID.items():
        assert said in text, name
    assert "message['tags'] is {1} (set): send sorted(value)" in text
    assert "test_it.py:12: BackchannelWarning: group_send('room'" in text
    assert text.count("BackchannelWarning:") == (3 if way == "strict" else 4)
    assert "Leaky (/) has ended, and its channel is still in the group 'room': each message" in text
    assert "everybody has left" not in text
    assert "nor in any other" not in text


@pytest.mark.parametrize(
    ("how", "failed"),
    [
        ("allowed", set()),
        # What waits for somebody who has yet to come is unread only when the test has ended.
        # Who has looked at a loss has not seen the crash that came of it.
        ("looked at", {"test_unread_by_nobody", "test_no_handler", "test_no_type"}),
        ("warnings are errors", FATAL | MILD),
    ],
)
def test_what_was_allowed_or_looked_at_passes(consumers, how, failed):
    consumers.settings("CHANNEL_LAYERS['default']['CONFIG'] = {'capacity': 5}")
    fixture = f"""
    @pytest.fixture
    def layer(channel_layer):
        return lambda: channel_layer.lost if {how == "looked at"} else None
    """
    allowed = (
        "'consumer_crashed', 'no_handler', 'over_capacity', 'not_serialisable', 'no_members', 'unread', 'left_in_group'"
        if how == "allowed"
        else None
    )
    result = consumers.test(losses(fixture, allowed), "-v")
    found = outcomes(result)
    assert len(found) == 10
    assert {name for name, outcome in found.items() if outcome != "PASSED"} == failed, result.stdout.str()


def test_a_test_that_uses_nothing_of_ours_is_only_observed(consumers):
    consumers.settings("CHANNEL_LAYERS['default']['CONFIG'] = {'capacity': 5}")
    fixture = """
    @pytest.fixture
    def layer():
        yield lambda: None
        get_channel_layer().groups.clear()
        get_channel_layer().channels.clear()
    """
    result = consumers.test(losses(fixture), "-v")
    assert len(outcomes(result)) == 10
    assert set(outcomes(result).values()) == {"PASSED"}, result.stdout.str()
    text = result.stdout.str()
    assert "backchannel: unseen behind the request" in text
    for name, said in SAID.items():
        assert said in text, name
    assert "not_serialisable: group_send('room', {'type': 'room.message', 'text': 'now', 'tags': {1}}): msgpack" in text
    assert "in test_it.py::test_no_handler" in text


def test_the_story_goes_on_through_the_layer(consumers):
    result = consumers.test(
        """
        import pytest
        from consumers import *

        @pytest.mark.asyncio
        async def test_it(channel_layer):
            browser = await connected(Room)
            await channel_layer.group_send("room", {"type": "room.message", "text": "hello"})
            await browser.receive_json_from()
            await channel_layer.group_send("rooom", {"type": "room.message"})
            await browser.disconnect()
            assert 0
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Behind the request*",
            "*group send to 'room' (1 member): {'type': 'room.message', 'text': 'hello'}  [[]test_it.py:8[]]",
            "*└─ delivered to Room.room_message*",
            "*   └─ Room.room_message  [[]consumers.py:*",
            "*group send to 'rooom' (0 members)*",
            "*└─ ✗ lost: no_members*",
        ]
    )


def test_the_production_settings_decide(consumers):
    consumers.write(
        "config/production.py",
        """
        CHANNEL_LAYERS = {"default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://redis.example:6379"], "serializer_format": "json"},
        }}
        """,
    )
    consumers.write(
        "config/core.py",
        """
        import re
        CHANNEL_LAYERS = {"default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"capacity": 9, "channel_capacity": {"quick*": 2, re.compile(r"slow\\..*"): 1}},
        }}
        """,
    )
    consumers.ini("backchannel_production_settings = config.production", "asyncio_mode = auto")
    result = consumers.test(
        """
        async def test_it(channel_layer):
            assert repr(channel_layer) == "<StrictLayer 'default' (pubsub)>"
            channel = await channel_layer.new_channel()
            await channel_layer.group_add("any name", channel)
            await channel_layer.group_send("any name", {"n": {1: 2}})
            assert await channel_layer.receive(channel) == {"n": {"1": 2}}
        """
    )
    result.assert_outcomes(passed=1)
    consumers.ini("backchannel_production_settings = config.core")
    result = consumers.test(
        """
        def test_it(channel_layer):
            options = channel_layer.options
            assert [options.capacity_of(name) for name in ("quick.one", "slow.one", "other")] == [2, 1, 9]
        """
    )
    result.assert_outcomes(passed=1)


def test_without_a_layer_or_with_a_bad_one_it_is_a_clear_error(consumers):
    consumers.settings("CHANNEL_LAYERS = {}")
    body = "def test_it(channel_layer):\n    pass\n"
    consumers.test(body).stdout.fnmatch_lines(["*channel_layer needs a layer called 'default' in CHANNEL_LAYERS*none*"])
    consumers.settings("CHANNEL_LAYERS = {'default': {'BACKEND': 'x', 'CONFIG': {'capacity': -1}}}")
    consumers.test(body).stdout.fnmatch_lines(["*test_it: CHANNEL_LAYERS: capacity = -1: give a number above 0"])


def test_it_works_in_every_kind_of_async_test_and_on_every_worker(consumers):
    consumers.write(
        "test_kinds.py",
        """
        import pytest
        from channels.layers import get_channel_layer
        from django.test import TestCase
        from consumers import *
        from pytest_backchannel.channels.layer.layer import StrictLayer

        async def round_trip():
            assert isinstance(get_channel_layer(), StrictLayer)
            browser = await connected(Room)
            assert len(get_channel_layer().members("room")) == 1
            await get_channel_layer().group_send("room", {"type": "room.message", "text": "hello"})
            assert await browser.receive_json_from() == {"text": "hello"}
            await browser.disconnect()

        @pytest.mark.parametrize("n", range(3))
        @pytest.mark.asyncio
        async def test_asyncio(channel_layer, n):
            await round_trip()

        @pytest.mark.anyio
        async def test_anyio(channel_layer, anyio_backend):
            await round_trip()

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.usefixtures("channel_layer")
        class WithDatabase(TestCase):
            async def test_database(self):
                await round_trip()
        """,
    )
    for args in ((), ("-n2",)):
        consumers.run("test_kinds.py", *args).assert_outcomes(passed=5)
    consumers.ini("asyncio_mode = auto")
    consumers.run("test_kinds.py").assert_outcomes(passed=5)


def test_a_project_may_have_a_fixture_of_that_name(consumers):
    result = consumers.test(
        """
        import pytest
        from channels.layers import get_channel_layer

        @pytest.fixture
        def channel_layer():
            return "mine"

        def test_it(channel_layer):
            assert channel_layer == "mine"
            assert type(get_channel_layer()).__name__ == "InMemoryChannelLayer"
        """
    )
    result.assert_outcomes(passed=1)
