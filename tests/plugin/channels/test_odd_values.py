"""--backchannel-odd-values: what any client can send, to the consumers that the tests connect to."""

from __future__ import annotations

import pytest

CONSUMERS = """
    import json
    from channels.db import database_sync_to_async
    from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
    from django.contrib.auth.models import User
    from uuid import UUID

    class Robust(AsyncJsonWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None, **kwargs):
            try:
                content = json.loads(text_data or "")
            except ValueError:
                content = None
            await self.send_json({"got": type(content).__name__})

    class Dict(Robust):
        async def receive(self, text_data=None, bytes_data=None, **kwargs):
            try:
                content = json.loads(text_data or "")
            except ValueError:
                return
            await self.send_json({"got": content.get("text")})

    class Saves(Robust):
        async def receive(self, text_data=None, bytes_data=None, **kwargs):
            await database_sync_to_async(User.objects.create_user)(f"user-{await User.objects.acount()}")
            await self.channel_layer.group_send("nobody", {"type": "saved"})

    class ById(Robust):
        async def receive(self, text_data=None, bytes_data=None, **kwargs):
            try:
                content = json.loads(text_data or "")
            except ValueError:
                return
            if isinstance(content, dict) and content.get("type") == "read":
                await self.send_json({"read": str(UUID(content["id"]))})

    class Room(Robust):
        async def connect(self):
            self.group = self.scope["url_route"]["kwargs"]["room"]
            await self.channel_layer.group_add(self.group, self.channel_name)
            await self.accept()

        async def disconnect(self, code):
            await self.channel_layer.group_discard(self.group, self.channel_name)

    class Private(Robust):
        async def connect(self):
            if self.scope["user"].is_anonymous:
                await self.close()
            else:
                await self.accept()
                if "since" in self.scope["query_string"].decode():
                    await self.send_json({"since": int(self.scope["query_string"].decode().partition("=")[2])})
"""

ASGI = """
    import config.asgi as base
    from channels.auth import AuthMiddlewareStack
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path
    from shop import odd

    application = ProtocolTypeRouter({"http": base.django_application, "websocket": AuthMiddlewareStack(URLRouter([
        path("ws/robust/", odd.Robust.as_asgi()),
        path("ws/dict/", odd.Dict.as_asgi()),
        path("ws/saves/", odd.Saves.as_asgi()),
        path("ws/by-id/<int:number>/", odd.ById.as_asgi()),
        path("ws/rooms/<str:room>/", odd.Room.as_asgi()),
        path("ws/private/", odd.Private.as_asgi()),
    ]))})
"""

FLAG = "--backchannel-odd-values"


@pytest.fixture
def odd(project):
    project.ini("asyncio_mode = auto")
    project.write("shop/odd.py", CONSUMERS)
    project.write("routing.py", ASGI)
    project.settings("ASGI_APPLICATION = 'routing.application'\nINSTALLED_APPS += ['django.contrib.messages']")
    return project


TESTS = """
    import pytest
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from django.contrib.auth.models import User
    from shop import odd

    async def test_robust(db, websocket):
        async with websocket("/ws/robust/") as browser:
            await browser.send_json({"text": "hello"})
            assert await browser.receive_json() == {"got": "dict"}

    async def test_dict(db, websocket):
        async with websocket("/ws/dict/"):
            pass

    async def test_dict_again(db, websocket):
        async with websocket("/ws/dict/"):
            pass

    @pytest.fixture
    def nobody_is_there(db):
        yield
        assert not User.objects.exists()

    async def test_saves(nobody_is_there, websocket, channel_layer):
        async with websocket("/ws/saves/"):
            pass
        assert channel_layer.group_sends == []

    async def test_by_id(db, websocket):
        async with websocket("/ws/by-id/7/") as browser:
            await browser.send_json({"type": "read", "id": "00000000-0000-4000-8000-000000000000"})
            await browser.receive_json()

    async def test_room(db, websocket):
        async with websocket("/ws/rooms/42/"):
            pass

    async def test_private(db, websocket):
        async with websocket("/ws/private/?since=7", user=await User.objects.acreate(username="ada")):
            pass

    class OfTheTest(AsyncJsonWebsocketConsumer):
        pass

    async def test_a_consumer_of_the_test(websocket):
        async with websocket(OfTheTest):
            pass

    async def test_without_a_database(websocket):
        async with websocket(odd.Saves, path="/"):
            pass

    async def test_with_what_the_test_has_patched(websocket):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(odd.Dict, "connect", odd.Dict.accept)
            patch.setattr(odd.Dict, "receive", odd.Robust.receive)
            async with websocket(odd.Dict):
                pass

    async def test_refused(db, websocket):
        with pytest.raises(Exception, match="refused"):
            await websocket("/ws/private/").connect()
"""


def test_what_a_consumer_dies_of_fails_the_test_that_connects_to_it(odd):
    result = odd.test(TESTS, FLAG, "-v")
    failed = {
        line.split("::")[1].split()[0] for line in result.outlines if line.startswith("test_it") and "FAILED" in line
    }
    assert failed == {"test_dict", "test_by_id", "test_room", "test_private"}, result.stdout.str()
    result.stdout.fnmatch_lines_random(
        [
            "odd_value: Dict (/ws/dict/) dies of the frame '[[]1]': AttributeError: 'list' object has no attribute "
            "'get'*shop/odd.py:22*",
            "    shop/odd.py:22 in Dict.receive",
            "    and of the frames *null*",
            "odd_value: ById (/ws/by-id/<int:number>/) dies of the frame *: * badly formed hexadecimal UUID string*",
            "odd_value: ById * dies of the frame '{\"type\": \"read\"}': KeyError: 'id'*",
            "odd_value: Room (/ws/rooms/<str:room>/) dies of the path '/ws/rooms/two%20words/': TypeError: Group name*",
            "odd_value: Private (/ws/private/) dies of the path '/ws/private/?since=two+words': ValueError: *",
            "*= backchannel: odd values =*",
            "/ws/dict/: Dict",
        ]
    )
    assert "not tried" not in result.stdout.str()


def test_without_the_flag_nothing_is_tried(odd):
    odd.test(TESTS).assert_outcomes(passed=11)


def test_what_no_test_connects_to_is_named(odd):
    result = odd.test(
        """
        import pytest

        @pytest.mark.allow_lost("odd_value")
        async def test_allowed(db, websocket):
            async with websocket("/ws/dict/"):
                pass

        def test_something_else():
            pass
        """,
        FLAG,
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["/ws/dict/: Dict", "/ws/robust/: not tried, since no test is let in there by websocket"], consecutive=True
    )


def test_nothing_is_tried_where_no_test_connects(odd):
    result = odd.test("def test_it(): pass", FLAG)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nothing was tried: no test opens a connection by websocket"])


def test_the_matrix_tries_every_route_that_lets_somebody_in(odd):
    tests = """
        async def test_it(db, websocket_matrix):
            matrix = await websocket_matrix(url_kwargs={"room": "42"}, odd_values=True)
            matrix.assert_open_to(anonymous=matrix.anonymous, foreign=matrix.foreign)
    """
    result = odd.test(tests)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(
        ["odd_value: Dict (/ws/dict/) dies*", "odd_value: Room (/ws/rooms/<str:room>/)*"]
    )
    odd.test(tests.replace(", odd_values=True", "")).assert_outcomes(passed=1)
