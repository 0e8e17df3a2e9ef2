"""The ``websocket`` fixture in a project, through its real ASGI application."""

from __future__ import annotations

CONSUMERS = """
    import asyncio
    from asgiref.sync import async_to_sync
    from channels.db import database_sync_to_async
    from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
    from shop.models import Order

    class Who(AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.accept()
            user = self.scope["user"]
            await self.send_json({
                "user": user.get_username(),
                "session": await database_sync_to_async(lambda: dict(self.scope["session"].items()))(),
                "cookies": self.scope["cookies"],
                "kwargs": self.scope["url_route"]["kwargs"],
                "query": self.scope["query_string"].decode(),
            })

    class Orders(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content):
            if content == "crash":
                raise ValueError("broken behind the socket")
            await self.create(content)
            await self.send_json({"orders": await Order.objects.acount()})

        @database_sync_to_async
        def create(self, reference):
            Order.objects.create(reference=reference)

    class SyncOrders(JsonWebsocketConsumer):
        def receive_json(self, content):
            Order.objects.create(reference=content)
            self.send_json({"orders": Order.objects.count()})
"""
PREAMBLE = """
    import pytest
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from pytest_backchannel.errors import *
    from shop.models import Order
    from ws import Orders, SyncOrders, Who
"""
ASGI = """
    from config.asgi import application as base
    from channels.auth import AuthMiddlewareStack
    from channels.routing import ProtocolTypeRouter, URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.urls import path
    from shop.consumers import EchoConsumer, RoomConsumer
    from ws import Orders, SyncOrders, Who

    application = ProtocolTypeRouter({
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([
            path("ws/echo/", EchoConsumer.as_asgi()),
            path("ws/rooms/<str:room>/", RoomConsumer.as_asgi()),
            path("ws/who/<int:number>/", Who.as_asgi()),
            path("ws/orders/", Orders.as_asgi()),
            path("ws/sync-orders/", SyncOrders.as_asgi()),
        ]))),
    })
"""


def setup(project, *ini, ds="config.settings"):
    project.ini("asyncio_mode = auto", *ini, settings=ds)
    project.write("ws.py", CONSUMERS)
    project.write("asgi_ws.py", ASGI)
    project.settings("ASGI_APPLICATION = 'asgi_ws.application'")


def test_through_the_projects_application(project):
    setup(project)
    result = project.test(
        PREAMBLE
        + """
    @pytest.fixture
    def user(db, django_user_model):
        return django_user_model.objects.create_user("ada", password="x")

    async def test_anonymous(db, websocket):
        async with websocket("/ws/who/7/?a=%20b") as ws:
            assert await ws.receive_json() == {
                "user": "", "session": {}, "cookies": {}, "kwargs": {"number": 7}, "query": "a=%20b"
            }

    async def test_user_by_a_real_session(websocket, user):
        async with websocket("/ws/who/7/", user=user) as ws:
            seen = await ws.receive_json()
            assert seen["user"] == "ada"
            assert seen["session"]["_auth_user_id"] == str(user.pk)
            first = seen["cookies"]["sessionid"]
            await ws.reconnect()
            assert (await ws.receive_json())["cookies"]["sessionid"] == first

    async def test_session_data_and_cookies(websocket, user):
        async with websocket("/ws/who/7/", user=user, session={"basket": [1]}, cookies={"theme": "dark"}) as ws:
            seen = await ws.receive_json()
            assert seen["session"]["basket"] == [1]
            assert seen["user"] == "ada"
            assert seen["cookies"]["theme"] == "dark"

    async def test_session_without_user(db, websocket):
        async with websocket("/ws/who/7/", session={"basket": [1]}) as ws:
            seen = await ws.receive_json()
            assert (seen["user"], seen["session"]) == ("", {"basket": [1]})

    async def test_the_session_of_djangos_client(websocket, async_client, user):
        await async_client.aforce_login(user)
        async with websocket("/ws/who/7/", session=await async_client.asession()) as ws:
            assert (await ws.receive_json())["user"] == "ada"

    async def test_a_capital_cookie_header_is_not_anonymous(websocket, async_client, user):
        await async_client.aforce_login(user)
        key = async_client.cookies["sessionid"].value
        async with websocket("/ws/who/7/", headers=[(b"Cookie", f"sessionid={key}".encode())]) as ws:
            assert (await ws.receive_json())["user"] == "ada"

    async def test_an_unsaved_user(db, websocket, django_user_model):
        with pytest.raises(BackchannelError, match="is not saved"):
            await websocket("/ws/who/7/", user=django_user_model(username="new")).connect()

    async def test_origin(db, websocket):
        for wrong in ("http://evil.example", ""):
            with pytest.raises(WebSocketRejected) as refused:
                await websocket("/ws/echo/", origin=wrong).connect()
            assert refused.value.http_status == 403
        async with websocket("/ws/echo/", origin="https://localhost:8443"):
            pass

    async def test_a_route_that_does_not_exist(db, websocket):
        with pytest.raises(ValueError, match="No route found for path 'ws/nowhere/'") as caught:
            await websocket("/ws/nowhere/").connect()
        assert "The application's WebSocket routes: /ws/" in caught.value.__notes__[-1]
        with pytest.raises(ValueError) as caught:
            await websocket("/ws/order/").connect()
        assert caught.value.__notes__[-1].endswith(" Did you mean /ws/orders/?")

    async def test_consumer_sees_the_tests_rows_and_the_test_its(db, websocket):
        await Order.objects.acreate(reference="of the test")
        for path in ("/ws/orders/", "/ws/sync-orders/"):
            async with websocket(path) as ws:
                await ws.send_json("of the consumer")
                await ws.receive_json()
        assert await Order.objects.acount() == 3

    async def test_the_rows_are_gone(db):
        assert await Order.objects.acount() == 0

    async def test_one_consumer_alone(websocket):
        async with websocket(Who, path="/ws/x/?y", url_kwargs={"number": 8}, user=__import__("types").SimpleNamespace(
            get_username=lambda: "bob"), session={"a": 1}, cookies={"c": "d"}) as ws:
            assert await ws.receive_json() == {
                "user": "bob", "session": {"a": 1}, "cookies": {"c": "d"}, "kwargs": {"number": 8}, "query": "y"
            }

    async def test_rooms(db, websocket):
        a, b = "/ws/rooms/a/", "/ws/rooms/b/"
        async with websocket(a) as one, websocket(a) as two, websocket(b) as other:
            await one.send_json({"text": "hello"})
            assert await one.receive_json() == await two.receive_json() == {"text": "hello"}
            assert await other.receive_nothing()

    async def test_two_paths(websocket):
        with pytest.raises(pytest.UsageError, match="give one path"):
            websocket("/ws/echo/", "/ws/echo/")
    """
    )
    result.assert_outcomes(passed=14)


def test_what_fails_without_being_asked(project):
    setup(project)
    result = project.test(
        PREAMBLE
        + """
    async def test_crash_read(db, websocket):
        async with websocket("/ws/orders/") as ws:
            await ws.send_json("crash")
            await ws.receive_json()

    async def test_crash_unread_on_leaving(db, websocket):
        async with websocket("/ws/orders/") as ws:
            await ws.send_json("crash")

    @pytest.fixture
    async def browser(db, websocket):
        async with websocket("/ws/orders/") as ws:
            yield ws

    async def test_crash_unread_with_a_fixtures_client(browser):
        await browser.send_json("crash")
        import asyncio
        await asyncio.sleep(0.2)

    async def test_fixtures_client_is_not_left_open(browser):
        await browser.send_json("x")
        assert await browser.receive_json() == {"orders": 1}

    async def test_left_open(db, websocket):
        ws = websocket("/ws/echo/")
        await ws.connect()

    @pytest.mark.allow_lost("consumer_left_open")
    async def test_left_open_allowed(db, websocket):
        await websocket("/ws/echo/").connect()

    class Wedged(AsyncJsonWebsocketConsumer):
        async def disconnect(self, code):
            import asyncio
            await asyncio.Event().wait()

    async def test_hung(websocket):
        async with websocket(Wedged, timeout=0.1):
            pass

    async def test_after_them_all(db, websocket):
        async with websocket("/ws/echo/") as ws:
            assert await ws.receive_nothing()
    """,
        "-rpf",
    )
    result.assert_outcomes(passed=3, failed=5)
    out = result.stdout
    out.fnmatch_lines_random(
        [
            "PASSED*::test_fixtures_client_is_not_left_open",
            "PASSED*::test_left_open_allowed",
            "PASSED*::test_after_them_all",
        ]
    )
    out.fnmatch_lines(
        [
            "*_ test_crash_read _*",
            '*raise ValueError("broken behind the socket")*',
            "E*ValueError: broken behind the socket",
            "E*It ended Orders in websocket_receive (connection /ws/orders/, opened at *test_it.py:9).",
            "*ws.py:*: ValueError",
        ]
    )
    out.fnmatch_lines(
        [
            "*_ test_crash_unread_with_a_fixtures_client _*",
            "consumer_crashed: Orders (/ws/orders/) raised ValueError: broken behind the socket*ws.py:*",
            "*ws.py:* in Orders.receive_json",
            "*It was opened by WebSocketClient at *test_it.py:*",
        ]
    )
    out.fnmatch_lines(
        [
            "consumer_left_open: EchoConsumer (/ws/echo/) was still open at the end of the test: *",
            "*Enter the client with 'async with', or await its close().*",
            'Intended? Say so with @pytest.mark.allow_lost("consumer_left_open").',
        ]
    )
    out.fnmatch_lines(
        [
            "E*ConsumerHung: Wedged did not end after its client had gone within 0.1 s (/)",
            "E*Wedged.websocket_disconnect runs, and waits at:",
            "E*test_it.py:* in Wedged.disconnect",
        ]
    )
    out.no_fnmatch_line("*CancelledError*")


def test_the_story_of_a_failed_test_is_one_tree(project):
    setup(project)
    result = project.test(
        PREAMBLE
        + """
    async def test_room(db, websocket):
        async with websocket("/ws/rooms/a/") as ws:
            await ws.send_json({"text": "hello"})
            assert await ws.receive_json() == {"text": "bye"}
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Behind the request*",
            "*connect /ws/rooms/a/*test_it.py:9*",
            "*└─ RoomConsumer.websocket_connect*",
            "*   └─ accept /ws/rooms/a/*consumers.py:*",
            '* frame from the client: \'{"text": "hello"}\'*test_it.py:10*',
            "*└─ RoomConsumer.websocket_receive*",
        ]
    )


def test_runners(project):
    setup(project)
    project.ini()  # strict mode: what is not marked is not run by pytest-asyncio
    result = project.test(
        PREAMBLE
        + """
    import unittest
    from django.test import TestCase, TransactionTestCase
    from channels.db import database_sync_to_async
    from pytest_backchannel import WebSocketClient
    from asgi_ws import application

    @pytest.mark.asyncio
    async def test_pytest_asyncio_strict(db, websocket):
        async with websocket("/ws/orders/") as ws:
            await ws.send_json("x")
            assert await ws.receive_json() == {"orders": 1}
            assert await ws.receive_nothing()

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    async def test_anyio(db, websocket):
        async with websocket("/ws/orders/") as ws:
            await ws.send_json("x")
            assert await ws.receive_json() == {"orders": 1}
            assert await ws.receive_nothing()

    class DjangoTests(TestCase):
        @pytest.fixture(autouse=True)
        def open(self, websocket):
            self.websocket = websocket

        async def test_testcase(self):
            await Order.objects.acreate(reference="first")
            async with self.websocket("/ws/orders/") as ws:
                await ws.send_json("x")
                self.assertEqual(await ws.receive_json(), {"orders": 2})
                self.assertTrue(await ws.receive_nothing())

        async def test_testcase_is_rolled_back(self):
            self.assertEqual(await Order.objects.acount(), 0)

        async def test_plain_context_manager_and_sync_consumer(self):
            async with WebSocketClient(application, "/ws/sync-orders/") as ws:
                await ws.send_json("x")
                self.assertEqual(await ws.receive_json(), {"orders": 1})

    def test_sync_tests_are_told(websocket):
        with pytest.raises(BackchannelError, match="needs a running asyncio loop"):
            websocket("/ws/echo/").connect().send(None)
    """,
        "-p",
        "anyio",
    )
    result.assert_outcomes(passed=6)


def test_plain_python_without_pytest(project):
    import subprocess
    import sys

    setup(project)
    project.write(
        "plain.py",
        """
        import asyncio, os
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django
        django.setup()
        from asgi_ws import application
        from pytest_backchannel import WebSocketClient

        async def main():
            async with WebSocketClient(application, "/ws/echo/") as ws:
                await ws.send_json({"a": 1})
                print(await ws.receive_json(), await ws.receive_nothing())

        asyncio.run(main())
        """,
    )
    done = subprocess.run([sys.executable, "plain.py"], cwd=project.path, capture_output=True, text=True, check=False)
    assert done.stdout == "{'a': 1} True\n", done.stderr


def test_without_an_asgi_application(project):
    project.ini("asyncio_mode = auto")
    project.settings("del ASGI_APPLICATION")
    result = project.test("async def test_it(websocket):\n    websocket('/ws/')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*UsageError: websocket(path) goes through the project's ASGI application: *"])


def test_without_channels(project):
    project.ini("asyncio_mode = auto")
    project.settings("INSTALLED_APPS.remove('channels')")
    project.write("channels.py", "raise ImportError('not here')")
    result = project.test("async def test_it(websocket):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*websocket needs Channels: pip install 'pytest-backchannel?channels?' (not here)*"])


def test_the_default_timeout_is_the_ini_option(project):
    setup(project, "backchannel_timeout = 0.05")
    result = project.test(
        PREAMBLE
        + """
    async def test_it(db, websocket):
        async with websocket("/ws/echo/") as ws:
            with pytest.raises(NoFrame, match="within 0.05 s"):
                await ws.receive_json()
    """
    )
    result.assert_outcomes(passed=1)
