"""What nobody asked about groups: joined too late, not left, and sent to before the commit."""

from __future__ import annotations

import pytest

CONSUMERS = """
    import asyncio
    import pytest
    from asgiref.sync import async_to_sync, sync_to_async
    from channels.db import database_sync_to_async
    from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.testing import WebsocketCommunicator
    from django.contrib.auth.models import User
    from django.db import transaction

    class Room(AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept()

        async def disconnect(self, code):
            await self.channel_layer.group_discard("room", self.channel_name)

        async def room_message(self, event):
            await self.send_json({"text": event["text"]})

    async def visit(consumer, websocket=None, *frames):
        if websocket is not None:
            async with websocket(consumer) as browser:
                for frame in frames:
                    await browser.send_json(frame)
                await browser.wait_idle()
            return
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        await communicator.connect()
        for frame in frames:
            await communicator.send_json_to(frame)
        await communicator.receive_nothing(0.05)
        await communicator.disconnect()
"""

LEFT = """
    class Leaky(Room):
        async def disconnect(self, code):
            pass

    class LeavesOneOfTwo(Room):
        async def connect(self):
            await self.channel_layer.group_add("other", self.channel_name)
            await super().connect()

    class NoSuper(AsyncJsonWebsocketConsumer):
        groups = ["room"]

        async def websocket_disconnect(self, message):
            from channels.exceptions import StopConsumer
            raise StopConsumer

    class LeakySync(JsonWebsocketConsumer):
        def connect(self):
            async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
            self.accept()

    class ByGroups(AsyncJsonWebsocketConsumer):
        groups = ["room"]

    class Refuses(Room):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.close()

    class InATask(Room):
        async def disconnect(self, code):
            self.leaving = asyncio.create_task(super().disconnect(code))

    @pytest.fixture(autouse=True)
    def emptied():
        yield
        getattr(get_channel_layer(), "groups", {}).clear()

    @pytest.mark.parametrize("consumer", [Leaky, LeavesOneOfTwo, NoSuper, LeakySync])
    async def test_left(ASKED, consumer):
        await visit(consumer, GIVEN)

    @pytest.mark.parametrize("consumer", [Room, ByGroups, InATask])
    async def test_silent(ASKED, consumer):
        await visit(consumer, GIVEN)

    async def test_refused(websocket):
        with pytest.raises(Exception, match="refused"):
            await visit(Refuses, websocket)

    async def test_put_in_by_the_test_itself(channel_layer, websocket):
        async with websocket(Room) as browser:
            (channel,) = channel_layer.members("room")
            await channel_layer.group_add("seats", channel)

    @pytest.mark.allow_lost("left_in_group")
    async def test_allowed(websocket):
        await visit(Leaky, websocket)
"""


def test_a_channel_left_in_a_group_is_told(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        CONSUMERS + LEFT.replace("ASKED", "websocket").replace("GIVEN", "websocket"),
        "-Wdefault::pytest_backchannel.errors.BackchannelWarning",
    )
    result.assert_outcomes(passed=10, warnings=4)
    result.stdout.fnmatch_lines(
        [
            "*test_it.py:14: BackchannelWarning: Leaky (/) has ended, and its channel is still in the group 'room': "
            "each message*",
            "*Await self.channel_layer.group_discard(*",
            "*BackchannelWarning: LeavesOneOfTwo (/) has ended, and its channel is still in the group 'other'*",
        ]
    )


@pytest.mark.parametrize("asked", ["websocket", "request"])
def test_it_fails_in_strict_mode_whichever_the_layer(project, asked):
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    given = "websocket" if asked == "websocket" else "None"
    result = project.test(CONSUMERS + LEFT.replace("ASKED", asked).replace("GIVEN", given), "-Wdefault")
    result.assert_outcomes(passed=6, failed=4)
    result.stdout.fnmatch_lines(["left_in_group: Leaky (/) has ended*test_it.py:14]"])


def test_it_is_summed_up_where_none_of_the_fixtures_is_used(project):
    project.ini("asyncio_mode = auto")
    result = project.test(CONSUMERS + LEFT.replace("ASKED", "request").replace("GIVEN", "None"))
    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines(["*left_in_group: Leaky (/) has ended*"])


LATE = """
    class Late(AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.accept()
            await self.channel_layer.group_add("room", self.channel_name)

        async def disconnect(self, code):
            await self.channel_layer.group_discard("room", self.channel_name)

        async def greet(self, event):
            await self.send_json(event)

    class LateAfterTheHistory(Late):
        async def connect(self):
            await self.accept()
            await self.send_json({"history": [u.id async for u in User.objects.all()]})
            await self.channel_layer.group_add("room", self.channel_name)

    class OneInTime(Late):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept()
            await self.channel_layer.group_add("other", self.channel_name)

        async def disconnect(self, code):
            await super().disconnect(code)
            await self.channel_layer.group_discard("other", self.channel_name)

    class LateSync(JsonWebsocketConsumer):
        def connect(self):
            self.accept()
            async_to_sync(self.channel_layer.group_add)("room", self.channel_name)

        def disconnect(self, code):
            async_to_sync(self.channel_layer.group_discard)("room", self.channel_name)

    class CatchesUp(Late):
        async def connect(self):
            await super().connect()
            await self.send_json({"history": [u.id async for u in User.objects.all()]})

    class HasNothingToCatchUpWith(Late):
        async def connect(self):
            await self.accept()
            await self.channel_layer.group_add("room", self.channel_name)
            async for user in User.objects.filter(username="nobody"):
                await self.send_json(user.id)

    class HasNothingToCatchUpWithSync(LateSync):
        def connect(self):
            self.accept()
            async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
            for user in User.objects.filter(username="nobody"):
                self.send_json(user.id)

    class CatchesUpInItsOwnWay(Late):
        async def connect(self):
            await self.accept()
            await self.channel_layer.group_add("room", self.channel_name)
            await self.catch_up()

        async def catch_up(self):
            pass

    class CatchesUpInATask(Late):
        async def connect(self):
            await super().connect()
            self.task = asyncio.create_task(self.catch_up())

        async def catch_up(self):
            await self.send_json({"history": [u.id async for u in User.objects.all()]})

    class CatchesUpByAMessage(Late):
        async def connect(self):
            await super().connect()
            await self.channel_layer.send(self.channel_name, {"type": "greet"})

    class IsAsked(Late):
        async def receive_json(self, content):
            await self.send_json({"history": [u.id async for u in User.objects.all()]})

    class Subscribes(Room):
        async def receive_json(self, content):
            await self.channel_layer.group_add("topic", self.channel_name)

        async def disconnect(self, code):
            await super().disconnect(code)
            await self.channel_layer.group_discard("topic", self.channel_name)

    class Refuses(Late):
        async def connect(self):
            await super().connect()
            await self.close(4401)

    class JoinsAgain(Room):
        async def connect(self):
            await super().connect()
            await self.channel_layer.group_add("room", self.channel_name)

    @pytest.mark.parametrize("consumer", [Late, LateAfterTheHistory, OneInTime, LateSync])
    async def test_late(db, ASKED, consumer):
        await visit(consumer, GIVEN)

    NOTHING = [HasNothingToCatchUpWith, HasNothingToCatchUpWithSync, CatchesUpInItsOwnWay]
    SOUND = [*NOTHING, Room, CatchesUp, CatchesUpInATask, CatchesUpByAMessage, IsAsked, Subscribes, Refuses, JoinsAgain]

    @pytest.mark.parametrize("consumer", SOUND)
    async def test_silent(db, ASKED, consumer):
        await visit(consumer, GIVEN, *[{"text": "hello"}] * (consumer is not Refuses))
"""


@pytest.mark.parametrize("asked", ["websocket", "request"])
def test_who_accepts_before_he_joins_is_told(project, asked):
    given = "websocket" if asked == "websocket" else "None"
    tests = CONSUMERS + LATE.replace("ASKED", asked).replace("GIVEN", given)
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(tests, "-Wdefault")
    result.assert_outcomes(passed=11, failed=4)
    result.stdout.fnmatch_lines(
        ["joined_after_accept: Late (/) accepts its client, and only then joins the group 'room'*test_it.py:40]"]
    )
    project.ini("asyncio_mode = auto")
    result = project.test(tests, "-Wdefault")
    result.assert_outcomes(passed=15, warnings=4 if asked == "websocket" else 0)
    if asked == "request":
        result.stdout.fnmatch_lines(["joined_after_accept: Late (/) accepts its client*"])


SENT = """
    def save_and_tell(name="ada", later=False):
        with transaction.atomic():
            user = User.objects.create_user(name)
            tell = lambda: async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message", "text": name})
            transaction.on_commit(tell) if later else tell()

    def test_in_a_block(db, ASKED):
        save_and_tell()

    async def test_in_a_block_in_a_thread(db, ASKED):
        await sync_to_async(save_and_tell)()

    def test_to_one_channel(db, ASKED):
        with transaction.atomic():
            async_to_sync(get_channel_layer().send)("thumbnails", {"type": "make"})

    def test_told_once(db, ASKED):
        with transaction.atomic():
            for number in range(3):
                async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message", "number": number})

    @pytest.fixture
    def block(db):
        with transaction.atomic():
            yield

    def test_silent_on_commit(db, ASKED, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            save_and_tell(later=True)

    def test_silent_in_the_tests_own_transaction(db, ASKED):
        async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message"})

    def test_silent_in_a_fixtures_block(block, ASKED):
        async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message"})

    def test_silent_after_the_block(db, ASKED):
        with transaction.atomic():
            User.objects.create_user("grace")
        async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message"})

    async def test_silent_in_an_async_test(db, ASKED):
        await User.objects.acreate(username="grace")
        await get_channel_layer().group_send("room", {"type": "room.message"})
"""


@pytest.mark.parametrize("asked", ["channel_layer", "request"])
def test_what_is_sent_before_the_commit_is_told(project, asked):
    tests = CONSUMERS + SENT.replace("ASKED", asked)
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(tests, "-Wdefault")
    result.assert_outcomes(passed=5, failed=4)
    result.stdout.fnmatch_lines(
        [
            "sent_in_transaction: group_send('room', {'type': 'room.message', 'text': 'ada'}) was called inside "
            "transaction.atomic()*, before the commit*test_it.py:40]",
            "*Send it from transaction.on_commit(...).",
            "sent_in_transaction: send('thumbnails', {'type': 'make'}) was called*",
        ]
    )
    assert "'number': 0}) was called" in result.stdout.str()
    assert "'number': 1}) was called" not in result.stdout.str()
    project.ini("asyncio_mode = auto")
    result = project.test(tests, "-Wdefault")
    result.assert_outcomes(passed=9, warnings=4 if asked == "channel_layer" else 0)


def test_what_an_eager_task_sends_is_no_second_problem(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        CONSUMERS
        + """
    from celery import shared_task

    @shared_task
    def tell():
        async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message"})

    @pytest.mark.allow_lost("enqueued_in_transaction")
    def test_it(db, celery_eager, channel_layer):
        with transaction.atomic():
            tell.delay()
""",
        "-Wdefault",
    )
    result.assert_outcomes(passed=1, warnings=0)
