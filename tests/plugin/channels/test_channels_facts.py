"""Each known trap of testing consumers with a communicator, and that the client does not have it."""

from __future__ import annotations

PREAMBLE = """
    import asyncio
    import time
    import traceback
    import pytest
    from channels import db as channels_db
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.testing import WebsocketCommunicator
    from pytest_backchannel import errors

    class Talker(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            command, _, argument = text_data.partition(" ")
            if command == "crash":
                raise ValueError("broken")
            if command == "later":
                await asyncio.sleep(float(argument))
                await self.send(text_data="late")
            if command == "echo":
                await self.send(text_data=argument)
            if command == "accept":
                await self.accept()
            if command == "close":
                await self.close(int(argument))
            if command == "send_after_close":
                await self.close()
                await self.send(text_data="x")
"""

SOLVED = """
    async def test_a_crash_is_seen_at_once_and_without_chained_errors(websocket):
        async with websocket(Talker, timeout=60) as ws:
            await ws.send_text("crash")
            start = time.perf_counter()
            with pytest.raises(ValueError) as crash:
                await ws.receive_text()
            assert time.perf_counter() - start < 20
            text = "".join(traceback.format_exception(crash.value))
            assert len(text.splitlines()) < 30
            assert "CancelledError" not in text and "TimeoutError" not in text

    async def test_a_crash_is_not_green_though_nobody_reads_again(websocket):
        with pytest.raises(ValueError, match="broken"):
            async with websocket(Talker) as ws:
                await ws.send_text("crash")

    async def test_a_crash_is_not_green_under_receive_nothing(websocket):
        async with websocket(Talker) as ws:
            await ws.send_text("crash")
            with pytest.raises(ValueError, match="broken"):
                await ws.receive_nothing()

    async def test_a_wedged_consumer_fails_its_disconnect(websocket):
        class Wedged(AsyncWebsocketConsumer):
            async def disconnect(self, code):
                await asyncio.Event().wait()

        with pytest.raises(errors.ConsumerHung, match=r"test_it.py:\\d+ in .*disconnect"):
            async with websocket(Wedged, timeout=0.1):
                pass

    async def test_a_timeout_leaves_the_consumer_alive(websocket):
        async with websocket(Talker) as ws:
            with pytest.raises(TimeoutError):
                await ws.receive_text(timeout=0.05)
            await ws.send_text("echo alive")
            assert await ws.receive_text() == "alive"

    async def test_receive_nothing_does_not_wait(websocket):
        async with websocket(Talker) as ws:
            start = time.perf_counter()
            for _ in range(50):
                await ws.receive_nothing()
            assert time.perf_counter() - start < 50 * 0.1

    async def test_receive_nothing_does_not_miss_a_frame_due_in_150_ms(websocket):
        async with websocket(Talker) as ws:
            await ws.send_text("later 0.15")
            with pytest.raises(errors.UnexpectedFrame, match="late"):
                await ws.receive_nothing()

    async def test_an_unknown_message_type_is_seen(websocket, channel_layer):
        from pytest_backchannel.channels.watch.consumers import live_consumers

        async with websocket(Talker) as ws:
            (live,) = live_consumers()
            await channel_layer.send(live.channel_name, {"type": "no.such.type"})
            with pytest.raises(ValueError, match="No handler for message type no.such.type"):
                await ws.receive_text()
    test_an_unknown_message_type_is_seen = pytest.mark.allow_lost("no_handler")(test_an_unknown_message_type_is_seen)

    async def test_close_before_accept_is_http_403(websocket):
        class Refuses(AsyncWebsocketConsumer):
            async def connect(self):
                await self.close(4003)

        with pytest.raises(errors.WebSocketRejected) as refused:
            await websocket(Refuses).connect()
        assert (refused.value.code, refused.value.http_status) == (4003, 403)

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("accept", "websocket.accept while the connection is open"),
            ("close 999", "code=999"),
            ("send_after_close", "websocket.send while the connection is closed"),
        ],
    )
    async def test_what_a_server_refuses_is_refused(websocket, command, message):
        with pytest.raises(errors.ContractViolation, match=message):
            async with websocket(Talker) as ws:
                await ws.send_text(command)

    async def test_a_subprotocol_that_was_not_offered_is_refused(websocket):
        class Picks(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept(subprotocol="v9")

        with pytest.raises(errors.ContractViolation, match="the client offered 'v1'"):
            await websocket(Picks, subprotocols=["v1"]).connect()

    async def test_the_scope_has_what_a_server_puts_in(websocket):
        async with websocket(Talker) as ws:
            assert {"client", "server", "scheme", "asgi", "raw_path", "root_path", "http_version"} <= set(ws.scope)

    async def test_a_capital_cookie_header_is_not_anonymous(db, websocket, django_user_model, async_client):
        user = await django_user_model.objects.acreate(username="ada")
        await async_client.aforce_login(user)
        cookie = f"sessionid={async_client.cookies['sessionid'].value}"
        async with websocket("/ws/echo/", headers=[(b"Cookie", cookie.encode())]) as ws:
            assert ws.scope["user"] == user

    async def test_overlapping_receives_leave_nothing_patched(websocket):
        before = channels_db.close_old_connections
        async with websocket(Talker) as ws:
            both = asyncio.gather(ws.receive_text(), ws.receive_text())
            await asyncio.sleep(0)
            await ws.send_text("echo 1")
            await ws.send_text("echo 2")
            assert sorted(await both) == ["1", "2"]
        assert channels_db.close_old_connections is before

    async def test_a_forgotten_disconnect_is_found(websocket):
        ws = websocket(Talker)
        await ws.connect()
"""


def test_each_trap_is_closed(project):
    project.ini("asyncio_mode = auto")
    result = project.test(PREAMBLE + SOLVED, "-rpf")
    result.assert_outcomes(passed=16, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_a_forgotten_disconnect_is_found - Failed: consumer_le*"])


def test_the_traps_are_still_there_in_a_communicator(project):
    """If one of these fails, Channels has mended it, and the documentation should say so."""
    project.ini("asyncio_mode = auto")
    result = project.test(
        PREAMBLE
        + """
    async def opened():
        communicator = WebsocketCommunicator(Talker.as_asgi(), "/")
        await communicator.connect()
        return communicator

    async def test_a_crash_takes_the_whole_timeout():
        communicator = await opened()
        await communicator.send_to(text_data="crash")
        start = time.perf_counter()
        with pytest.raises(ValueError):
            await communicator.receive_from(timeout=0.5)
        assert time.perf_counter() - start >= 0.5

    async def test_a_crash_is_green_under_receive_nothing():
        communicator = await opened()
        await communicator.send_to(text_data="crash")
        assert await communicator.receive_nothing()

    async def test_a_timeout_kills_the_consumer():
        communicator = await opened()
        with pytest.raises(TimeoutError):
            await communicator.receive_from(timeout=0.05)
        with pytest.raises(asyncio.CancelledError):
            await communicator.send_to(text_data="echo alive")

    async def test_a_second_accept_and_close_999_are_let_pass():
        communicator = await opened()
        await communicator.send_to(text_data="accept")
        await communicator.send_to(text_data="close 999")
        assert (await communicator.receive_output())["type"] == "websocket.accept"
        assert (await communicator.receive_output())["code"] == 999
        await communicator.disconnect()
    """
    )
    result.assert_outcomes(passed=4)


def test_the_story_is_one_tree_from_the_group_send_to_the_frame(project):
    project.ini("asyncio_mode = auto")
    project.write(
        "shop/tell.py",
        """
        from asgiref.sync import async_to_sync
        from channels.layers import get_channel_layer

        def tell(room):
            async_to_sync(get_channel_layer().group_send)(room, {"type": "room.message", "text": "sent"})
        """,
    )
    result = project.test(
        """
    from asgiref.sync import sync_to_async
    from shop.tell import tell

    async def test_it(db, websocket):
        async with websocket("/ws/rooms/a/") as ws:
            await sync_to_async(tell)("a")
            assert await ws.receive_json() == {"text": "lost"}
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Behind the request*",
            "* s  group send to 'a' (1 member)*shop/tell.py:*",
            "* s  └─ delivered to RoomConsumer.room_message*",
            "* s     └─ RoomConsumer.room_message*shop/consumers.py:*",
            '* s        └─ frame to the client: \'{"text": "sent"}\'*shop/consumers.py:*',
        ]
    )


def test_under_the_virtual_clock(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        PREAMBLE
        + """
    async def test_timers_of_a_consumer_follow(websocket, virtual_clock):
        start = time.perf_counter()
        async with websocket(Talker) as ws:
            await ws.send_text("later 1.5")
            assert await ws.receive_text() == "late"
            await ws.send_text("later 3600")
            with pytest.raises(errors.NoFrame):
                await ws.receive_text(timeout=60)
            assert await ws.receive_text(timeout=4000) == "late"
            assert await ws.receive_nothing()
    """,
        "--durations=0",
    )
    result.assert_outcomes(passed=1)


def test_with_uvloop_nothing_is_decided_by_a_short_wait(project):
    import pytest

    pytest.importorskip("uvloop")
    project.ini("asyncio_mode = auto")
    project.write(
        "conftest.py",
        """
        import pytest
        import uvloop

        @pytest.fixture
        def event_loop_policy():
            return uvloop.EventLoopPolicy()
        """,
    )
    result = project.test(
        PREAMBLE
        + """
    async def test_it(websocket):
        import uvloop
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        async with websocket(Talker, timeout=60) as ws:
            await ws.send_text("echo x")
            assert await ws.receive_text() == "x"
            start = time.perf_counter()
            assert await ws.receive_nothing()
            assert 0.09 < time.perf_counter() - start < 20
            await ws.send_text("later 0.05")
            with pytest.raises(errors.UnexpectedFrame):
                await ws.receive_nothing()
            await ws.send_text("crash")
            assert await ws.receive_text() == "late"
            with pytest.raises(ValueError, match="broken"):
                await ws.receive_text()
    """,
        "-W",
        "ignore::DeprecationWarning",
    )
    result.assert_outcomes(passed=1)


def test_xdist_and_random_order(project):
    project.ini("asyncio_mode = auto")
    result = project.test(PREAMBLE + SOLVED, "-n2")
    result.assert_outcomes(passed=16, failed=1)
