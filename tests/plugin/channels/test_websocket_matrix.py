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

        @pytest.mark.allow_lost("nobody_let_in")
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


TOKENS = """
    import config.asgi as base
    from urllib.parse import parse_qs
    from channels.auth import AuthMiddlewareStack
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.urls import path
    from shop.consumers import EchoConsumer

    class ByToken(AsyncWebsocketConsumer):
        async def connect(self):
            token = parse_qs(self.scope["query_string"].decode()).get("token")
            await (self.accept() if token == ["s3 & cret"] else self.close())

    class Staff(AsyncWebsocketConsumer):
        async def connect(self):
            await (self.accept() if self.scope["user"].is_staff else self.close())

    by_token = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([path("ws/token/", ByToken.as_asgi())])))
    application = ProtocolTypeRouter({"http": base.django_application, "websocket": AllowedHostsOriginValidator(
        AuthMiddlewareStack(URLRouter([path("ws/token/", ByToken.as_asgi()), path("ws/staff/", Staff.as_asgi())]))
    )})
"""
PREAMBLE = """
        import pytest
        from unittest.mock import Mock
        from django.contrib.auth.models import User
        import routing

        @pytest.fixture
        def user(db):
            return User.objects.create_user("ada")
"""


def with_tokens(project):
    project.ini("asyncio_mode = auto")
    project.write("routing.py", TOKENS)
    project.settings("ASGI_APPLICATION = 'routing.application'\nINSTALLED_APPS += ['django.contrib.messages']")
    return project


def test_clients_with_tokens_and_several_users(project):
    result = with_tokens(project).test(
        PREAMBLE
        + """
        async def test_passes(websocket_matrix, user, django_user_model):
            chief = await django_user_model.objects.acreate(username="chief", is_staff=True)
            matrix = await websocket_matrix(
                clients={"ada": {"user": user}, "chief": {"user": chief}, "app": {"query": {"token": "s3 & cret"}}}
            )
            matrix.assert_open_to(clients={"ada": [], "chief": ["/ws/staff/"], "app": ["/ws/token/"]})
            assert matrix.open_to("app") == {"/ws/token/"} and matrix.anonymous == set()
            assert matrix.outcome("/ws/staff/", client="chief") == "open"
            assert matrix.outcome("/ws/staff/", client="chief", origin="foreign") == "HTTP 403"
            assert matrix.outcome("/ws/token/", client="anonymous") == "HTTP 403"
            assert [a.signed_in for a in matrix.attempts if a.client == "app"] == [True] * 6
            with pytest.raises(KeyError, match="there was no client 'bob'; there were 'ada', 'chief', 'app', 'anon"):
                matrix.open_to("bob")

        async def test_another_is_let_in(websocket_matrix, user):
            matrix = await websocket_matrix(clients={"app": {"query": "token=s3+%26+cret"}})
            matrix.assert_open_to(clients={"app": ["/ws/staff/"]})

        async def test_wrong_clients(websocket_matrix, user):
            for arguments, text in [
                ({"user": user, "clients": {}}, "name the user as one of the clients"),
                ({"clients": {"a": {"tokn": 1}}}, "clients: 'a' has 'tokn'; choose from user, session, query"),
                ({"clients": {"a": {"origin": ""}}}, "each origin is tried anyway"),
                ({"clients": ["a"]}, "give a dict of names"),
                ({"clients": {"anonymous": {"user": user}}}, "'anonymous' is who has nothing to show"),
                ({"clients": {"a": {"query": {"token": None}}}}, "query: 'token' is None, which no URL can carry"),
            ]:
                with pytest.raises(Exception) as caught:
                    await websocket_matrix(**arguments)
                assert text in str(caught.value)
        """,
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*OpenToStrangers: /ws/token/ lets in the client 'app'",
            "E */ws/staff/ does not let in the client 'app', though the test says so",
            "E *route * app, own origin  app, foreign origin  app, no origin  anonymous, own origin*",
        ]
    )


def test_a_matrix_in_which_nobody_gets_in_says_so(project):
    project = with_tokens(project)
    result = project.test(
        PREAMBLE
        + """
        async def test_closed_to_all(websocket_matrix, user):
            (await websocket_matrix(user)).assert_open_to()

        async def test_nobody_was_meant_to(websocket_matrix, db):
            (await websocket_matrix()).assert_open_to()
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*BackchannelWarning: no route let in anybody (HTTP 403), so that the matrix says nothing about strangers. *"]
    )


def test_users_that_no_session_can_hold(project):
    result = with_tokens(project).test(
        PREAMBLE
        + """
        @pytest.mark.parametrize(("make", "text"), [
            (lambda: Mock(spec=User), "is a mock"),
            (lambda: User(username="ada"), "is not saved"),
            (lambda: User(pk=77, username="ada"), "is not saved"),
            (lambda: type("U", (), {"pk": 1})(), "is no instance of a model"),
        ])
        async def test_refused(websocket, db, make, text):
            with pytest.raises(Exception) as caught:
                async with websocket("/ws/staff/", user=make()):
                    pass
            assert f"{text}. Through the whole application" in str(caught.value)
            assert "drive the consumer alone" in str(caught.value)

        async def test_alone_any_will_do(websocket):
            async with websocket(routing.Staff, user=Mock(is_staff=True)):
                pass

        async def test_a_key_is_enough(websocket, user):
            await User.objects.filter(pk=user.pk).aupdate(is_staff=True)
            async with websocket("/ws/staff/", user=User(pk=user.pk, username="ada", password=user.password)):
                pass

        async def test_query(websocket, db):
            for path, query in [
                ("/ws/token/", {"token": "s3 & cret"}),
                ("/ws/token/?a=1", [("b", [1, 2]), ("token", "s3 & cret")]),
                ("/ws/token/", "?token=s3+%26+cret"),
            ]:
                async with websocket(path, query=query) as browser:
                    pass
            async with websocket(routing.ByToken, "/x/?a=1", query=[("b", [1, 2]), ("token", "s3 & cret")]) as browser:
                assert browser.scope["query_string"] == b"a=1&b=1&b=2&token=s3+%26+cret"
        """,
    )
    result.assert_outcomes(passed=7)
