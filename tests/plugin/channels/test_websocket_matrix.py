"""websocket_matrix: which routes let an anonymous or a foreign caller in."""

from __future__ import annotations

ASGI = """
    import config.asgi as base
    from channels.auth import AuthMiddlewareStack
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.urls import path, re_path
    from shop.consumers import EchoConsumer

    class Private(AsyncWebsocketConsumer):
        async def connect(self):
            if self.scope["user"].is_anonymous or self.scope["url_route"]["kwargs"]["room"] != "42":
                await self.close()
            else:
                await self.accept()

    class Late(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept()
            if self.scope["user"].is_anonymous:
                await self.close(4401)

    class Broken(AsyncWebsocketConsumer):
        async def connect(self):
            if self.scope["user"].is_anonymous:
                raise KeyError("user")
            await self.accept()

    guarded = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([
        path("ws/echo/", EchoConsumer.as_asgi()),
        path("ws/private/<str:room>/", Private.as_asgi()),
        path("ws/late/", Late.as_asgi()),
        path("ws/broken/", Broken.as_asgi()),
    ])))
    unguarded = AuthMiddlewareStack(URLRouter([path("ws/private/<str:room>/", Private.as_asgi())]))
    strange = URLRouter([re_path(r"^ws/(a|b)/$", EchoConsumer.as_asgi())])
    application = ProtocolTypeRouter({"http": base.django_application, "websocket": guarded})
"""


def test_who_may_connect_where(project):
    project.ini("asyncio_mode = auto")
    project.write("routing.py", ASGI)
    project.settings("ASGI_APPLICATION = 'routing.application'\nINSTALLED_APPS += ['django.contrib.messages']")
    result = project.test(
        """
        import pytest
        from channels.routing import ProtocolTypeRouter
        from django.contrib.auth.models import User
        import routing

        ROOM = {"room": "42"}

        @pytest.fixture
        def user(db):
            return User.objects.create_user("ada")

        async def test_passes(websocket_matrix, user):
            matrix = await websocket_matrix(user, url_kwargs=ROOM)
            matrix.assert_open_to(anonymous=["/ws/echo/"])
            assert matrix.anonymous == {"/ws/echo/"} and matrix.foreign == set()
            print(matrix)
            outcomes = {
                (path, signed_in): [
                    matrix.outcome(path, signed_in=signed_in, origin=origin) for origin in ("own", "foreign", "none")
                ]
                for path in ("/ws/echo/", "/ws/private/<str:room>/", "/ws/late/", "/ws/broken/")
                for signed_in in (True, False)
            }
            refused = ["HTTP 403", "HTTP 403"]
            assert outcomes == {
                ("/ws/echo/", True): ["open", *refused],
                ("/ws/echo/", False): ["open", *refused],
                ("/ws/private/<str:room>/", True): ["open", *refused],
                ("/ws/private/<str:room>/", False): ["HTTP 403", *refused],
                ("/ws/late/", True): ["open", *refused],
                ("/ws/late/", False): ["closed 4401", *refused],
                ("/ws/broken/", True): ["open", *refused],
                ("/ws/broken/", False): ["crashed: KeyError", *refused],
            }

        async def test_anonymous_only(websocket_matrix, db):
            matrix = await websocket_matrix(url_kwargs={"/ws/private/<str:room>/": ROOM})
            assert {attempt.signed_in for attempt in matrix.attempts} == {False}
            with pytest.raises(KeyError, match="was not tried with signed_in=True"):
                matrix.outcome("/ws/echo/", signed_in=True, origin="own")

        async def test_open_to_strangers(websocket_matrix, user):
            matrix = await websocket_matrix(user, application=routing.unguarded, url_kwargs=ROOM)
            matrix.assert_open_to(anonymous=["/ws/private/<str:room>/"])

        async def test_another_own_origin(websocket_matrix, user):
            matrix = await websocket_matrix(user, url_kwargs=ROOM, origin="https://elsewhere.example")
            assert matrix.anonymous == set()

        async def test_bad_arguments(websocket_matrix, db):
            for arguments, text in [
                ({"url_kwargs": {"rooom": 1}}, "no route has a parameter 'rooom'; the parameters: room"),
                ({"url_kwargs": {"/ws/x/": {}}}, "there is no route '/ws/x/'; the routes: /ws/echo/"),
                ({"application": ProtocolTypeRouter({})}, "no WebSocket route was found"),
                ({"application": routing.strange}, "no example can be made for /^ws/"),
            ]:
                with pytest.raises(Exception) as caught:
                    await websocket_matrix(**arguments)
                assert text in str(caught.value)
        """,
        "-rP",
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*OpenToStrangers: /ws/private/<str:room>/ does not let in an anonymous caller, though the test says so",
            "E */ws/private/<str:room>/ lets in a page of another site",
            "E *route * signed in, own origin  signed in, foreign origin  signed in, no origin  anonymous, own or*",
            "E */ws/private/<str:room>/  open * open * open * HTTP 403 * HTTP 403 * HTTP 403",
        ]
    )
    result.stdout.fnmatch_lines(["/ws/late/ * open * HTTP 403 * HTTP 403 * closed 4401 * HTTP 403 * HTTP 403"])


def test_what_breaks_once_the_caller_is_in_does_not_close_the_route(project):
    project.ini("asyncio_mode = auto", "backchannel_timeout = 0.3")
    result = project.test(
        """
        import asyncio
        import pytest
        from channels.generic.websocket import AsyncWebsocketConsumer
        from channels.routing import URLRouter
        from django.urls import path

        class Leaving(AsyncWebsocketConsumer):
            async def disconnect(self, code):
                raise KeyError("never joined")

        class Hanging(AsyncWebsocketConsumer):
            async def disconnect(self, code):
                await asyncio.Event().wait()

        class Starting(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                self.task = asyncio.create_task(self.crash())

            async def crash(self):
                raise ValueError("behind its back")

        class Busy(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                self.task = asyncio.create_task(asyncio.to_thread(stop.wait, 5))

            async def disconnect(self, code):
                stop.set()

        class Failing(AsyncWebsocketConsumer):
            async def connect(self):
                pytest.fail("must not be called")

        import threading
        stop = threading.Event()

        async def test_it(websocket_matrix):
            consumers = [Leaving, Hanging, Starting, Busy, Failing]
            routes = [path(f"{consumer.__name__}/", consumer.as_asgi()) for consumer in consumers]
            matrix = await websocket_matrix(application=URLRouter(routes))
            assert matrix.outcome("/Failing/", signed_in=False, origin="own") == "crashed: Failed"
            matrix.assert_open_to(
                anonymous=["/Leaving/", "/Hanging/", "/Starting/", "/Busy/"],
                foreign=["/Leaving/", "/Hanging/", "/Starting/", "/Busy/"],
            )
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "consumer_crashed: Leaving (/Leaving/), tried for the access matrix, raised * left: KeyError: *",
            "consumer_hung: Hanging (/Hanging/), tried for the access matrix, raised * left: ConsumerHung*",
            "consumer_crashed: Starting (/Starting/), tried * its client left: ValueError: behind its back*",
        ]
    )
    result.stdout.no_fnmatch_line("*AssertionError*")
