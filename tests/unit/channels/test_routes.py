"""Every endpoint of an ASGI application is found, through whatever stands before it."""

from __future__ import annotations

import functools

import pytest
from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from pytest_backchannel.channels.routes import handlers_of, routes_of, websocket_routes


class Room(AsyncJsonWebsocketConsumer):
    limit = 3

    async def connect(self):
        await self.accept()

    async def room_message(self, event):
        pass

    async def helper(self, one, two):
        pass

    async def _private(self, event):
        pass


class Lobby(Room):
    async def lobby_closed(self, event):
        pass


class Thumbnails(AsyncConsumer):
    async def make(self, message):
        pass


class Middleware:
    def __init__(self, inner, allowed):
        self.inner = inner
        self.allowed = allowed

    async def __call__(self, scope, receive, send):
        await self.inner(scope, receive, send)


class Slotted:
    """As Sentry's: all in slots, and called by a method that it holds itself."""

    __slots__ = ("__call__", "inner", "unset")

    def __init__(self, inner):
        self.inner = inner
        self.__call__ = self.run

    async def run(self, scope, receive, send):
        await self.inner(scope, receive, send)


def as_function(inner):
    async def middleware(scope, receive, send):
        await inner(scope, receive, send)

    return middleware


def as_wrapped_function(inner):
    @functools.wraps(inner)
    async def middleware(scope, receive, send):
        await inner(scope, receive, send)

    return middleware


async def with_partial(inner, scope, receive, send):
    await inner(scope, receive, send)


class Bound:
    def __init__(self, inner):
        self.inner = inner

    async def run(self, scope, receive, send):
        await self.inner(scope, receive, send)


def found(application):
    return [(route.protocol, route.path, route.consumer, route.middleware) for route in routes_of(application)]


def test_routers_of_all_kinds_nested_and_behind_middleware():
    inner = URLRouter([path("<int:id>/", Room.as_asgi(), name="room"), re_path(r"^lobby/$", Lobby.as_asgi())])
    application = ProtocolTypeRouter(
        {
            "http": URLRouter(
                [path("events/", AuthMiddlewareStack(Thumbnails.as_asgi())), path("", get_asgi_application())]
            ),
            "websocket": OriginValidator(AuthMiddlewareStack(URLRouter([path("ws/rooms/", inner)])), ["*"]),
            "channel": ChannelNameRouter({"thumbnails": Thumbnails.as_asgi()}),
        }
    )
    auth = ("CookieMiddleware", "SessionMiddleware", "AuthMiddleware")
    assert found(application) == [
        ("http", "/events/", Thumbnails, auth),
        ("http", "", None, ()),
        ("websocket", "/ws/rooms/<int:id>/", Room, ("OriginValidator", *auth)),
        ("websocket", "/ws/rooms/^lobby/$", Lobby, ("OriginValidator", *auth)),
        ("channel", "thumbnails", Thumbnails, ()),
    ]
    room, lobby = websocket_routes(application)
    assert (room.name, room.handlers, room.example, room.parameters) == (
        "room",
        ("room_message",),
        "/ws/rooms/1/",
        ("id",),
    )
    assert (lobby.name, lobby.handlers, lobby.example) == (None, ("lobby_closed", "room_message"), "/ws/rooms/lobby/")
    assert str(room) == "websocket /ws/rooms/<int:id>/"
    assert room.path_for(id=42) == "/ws/rooms/42/"
    with pytest.raises(ValueError, match="has no parameter 'pk'; its parameters: id"):
        room.path_for(pk=42)


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda inner: Middleware(inner, allowed=print), "Middleware"),
        (as_function, "as_function"),
        (lambda inner: functools.partial(with_partial, inner), "with_partial"),
        (lambda inner: Bound(inner).run, "Bound.run"),
        (Slotted, "Slotted"),
    ],
)
@pytest.mark.parametrize("around", ["router", "endpoint"])
def test_middleware_of_every_form(wrap, name, around):
    endpoint = wrap(Room.as_asgi()) if around == "endpoint" else Room.as_asgi()
    router = URLRouter([path("ws/", endpoint)])
    application = wrap(router) if around == "router" else router
    assert found(application) == [("", "/ws/", Room, (name,))]


def test_a_function_that_took_over_a_consumers_attributes():
    ((_, route, consumer, _),) = found(URLRouter([path("ws/", as_wrapped_function(Room.as_asgi()))]))
    assert (route, consumer) == ("/ws/", Room)


def test_a_middleware_around_everything_and_one_that_holds_itself():
    application = ProtocolTypeRouter(
        {"http": get_asgi_application(), "websocket": URLRouter([path("", Room.as_asgi())])}
    )
    outer = Middleware(application, allowed=None)
    outer.allowed = outer
    assert [(route.protocol, route.consumer) for route in routes_of(outer)] == [("http", None), ("websocket", Room)]


def test_an_application_that_is_no_consumer_is_an_endpoint_too():
    async def plain(scope, receive, send):
        pass

    application = ProtocolTypeRouter({"websocket": URLRouter([path("plain/", plain)])})
    (route,) = websocket_routes(application)
    assert (route.path, route.consumer, route.handlers) == ("/plain/", None, ())


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        (
            path("a/<slug:s>/<uuid:u>/<path:p>", Room.as_asgi()),
            "/a/example/00000000-0000-4000-8000-000000000000/example",
        ),
        (path("a/<name>/", Room.as_asgi()), "/a/example/"),
        (re_path(r"^a/(?P<id>\d+)/$", Room.as_asgi()), "/a/1/"),
        (re_path(r"^a/(?P<name>[-\w]+)/?$", Room.as_asgi()), "/a/example/"),
        (re_path(r"^a\.b/(?P<year>[0-9]{4})$", Room.as_asgi()), "/a.b/2026"),
        (re_path(r"^a/(?P<code>[A-Z]{3}-\d\d)/$", Room.as_asgi()), None),
        (re_path(r"^a/(b|c)/$", Room.as_asgi()), None),
    ],
)
def test_examples_match_their_pattern(pattern, example):
    (route,) = websocket_routes(URLRouter([pattern]))
    assert route.example == example
    if example is not None:
        assert pattern.pattern.match(example.lstrip("/")) is not None
    else:
        with pytest.raises(ValueError, match="no example can be made for"):
            route.path_for()


def test_a_value_may_be_given_for_what_no_example_is_known():
    (route,) = websocket_routes(URLRouter([re_path(r"^a/(?P<code>[A-Z]{3}-\d\d)/$", Room.as_asgi())]))
    assert route.path_for(code="ABC-12") == "/a/ABC-12/"


def test_handlers_are_the_methods_that_channels_does_not_have():
    assert handlers_of(Lobby) == ("lobby_closed", "room_message")
    assert handlers_of(Thumbnails) == ("make",)
