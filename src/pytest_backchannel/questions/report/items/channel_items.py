"""Routes, handlers of consumers, groups and types of messages, and what is asked of each."""

from __future__ import annotations

from collections.abc import Iterator

from ....inventory.asgi_inventory import KnownRoute
from ..model import Facet, Item
from .done import Done, Known, facet
from .patterns import matches, readable

# What Channels calls for a frame, by the methods of a consumer that may be the project's: the first that is there.
_FOR_A_FRAME = ("receive_json", "receive", "websocket_receive")
_OF_THE_CONNECTION = {
    "connect": "websocket_connect",
    "websocket_connect": "websocket_connect",
    "disconnect": "websocket_disconnect",
    "websocket_disconnect": "websocket_disconnect",
}


def consumer_routes(known: Known) -> list[KnownRoute]:
    """The routes that end in a consumer, in the order of the application."""
    return [] if known.asgi is None else [route for route in known.asgi.routes if route.consumer]


# ------------------------------------------------------------------------ routes


def route_items(known: Known, done: Done) -> Iterator[Item]:
    """The WebSocket routes, and the channels of worker consumers."""
    routes = consumer_routes(known)
    sockets = [route for route in routes if route.protocol != "channel"]
    paths = {path: _route_of(path, sockets) for path in done.subjects("socket")}
    for number, route in enumerate(routes):
        if any(earlier.path == route.path for earlier in routes[:number]):
            continue  # a router takes the first one
        if route.protocol == "channel":
            yield _channel_item(route, known, done)
        else:
            yield _socket_item(route, sockets, [path for path, found in paths.items() if found is route], known, done)


def _route_of(path: str, routes: list[KnownRoute]) -> KnownRoute | None:
    return next((route for route in routes if matches(route.path, path)), None)


def _socket_item(route: KnownRoute, routes: list[KnownRoute], paths: list[str], known: Known, done: Done) -> Item:
    routed = {other.consumer for other in routes}
    only_one = sum(other.consumer == route.consumer for other in routes) == 1

    def tests(through: str, *outcomes: str) -> set[str]:
        found: set[str] = set()
        for path in paths:
            for outcome in outcomes:
                for consumer, tests in done.details(f"socket:{path}", f"{through}:{outcome}").items():
                    # By its consumer too: a test's own router may have any path. Who refuses before it is reached is
                    # a consumer of the middleware's, or none.
                    if consumer == route.consumer or (outcome == "refused" and consumer not in routed):
                        found |= tests
        return found

    def as_class(*outcomes: str) -> set[str]:
        """Of a consumer alone the path says nothing: it counts for the one route that it has."""
        facts = [f"{through}:{outcome}" for through in ("class", "router") for outcome in outcomes]
        return {
            test
            for path in (done.subjects("socket") if only_one else paths)
            for fact in facts
            for consumer, tests in done.details(f"socket:{path}", fact).items()
            if consumer == route.consumer
            for test in tests
            if only_one or path in paths
        }

    title = readable(route.path)
    facets: list[tuple[str, Facet]] = [
        facet("connected", tests("application", "accepted"), wanted=True),
        facet(
            "refused",
            tests("application", "refused"),
            wanted=route.may_refuse,
            why="the code of its handshake can refuse",
        ),
        facet("router", tests("router", "accepted")),
        facet("class", as_class("accepted")),
        facet("crashed", tests("application", "crashed") | tests("router", "crashed") | as_class("crashed")),
    ]
    return Item(
        key=f"route:{title}",
        kind="route",
        title=title.lstrip("/"),
        where=known.place(route.file, route.line),
        about={
            "path": title,
            "protocol": route.protocol or "websocket",
            "consumer": route.consumer,
            "middleware": list(route.middleware),
        },
        facets=dict(facets),
    )


def _channel_item(route: KnownRoute, known: Known, done: Done) -> Item:
    handled = {test for name in route.handlers for test in done.tests(f"handler:{route.consumer}.{name}", "run")}
    return Item(
        key=f"channel:{route.path}",
        kind="route",
        title=f"channel {route.path}",
        where=known.place(route.file, route.line),
        about={"path": route.path, "protocol": "channel", "consumer": route.consumer, "middleware": []},
        facets=dict([facet("run", handled, wanted=True)]),
    )


# ---------------------------------------------------------------------- handlers


def handler_items(known: Known, done: Done) -> Iterator[Item]:
    """The methods of consumers that handle messages, frames, and the end of a connection."""
    seen: set[str] = set()
    for route in consumer_routes(known):
        if route.consumer in seen:
            continue
        seen.add(route.consumer)
        paths = [readable(other.path) for other in consumer_routes(known) if other.consumer == route.consumer]
        for method, handler in _handlers(route, done):
            subject = f"handler:{route.consumer}.{handler}"
            yield Item(
                key=f"handler:{route.consumer}.{method}",
                kind="handler",
                title=f"{route.consumer.rpartition('.')[2]}.{method}",
                where=known.place(route.file, route.methods.get(method, route.line)),
                about={"consumer": route.consumer, "handler": method, "routes": paths},
                facets=dict(
                    [
                        facet("run", done.tests(subject, "run"), wanted=True),
                        facet("crashed", done.tests(subject, "crashed")),
                    ]
                ),
            )


def _handlers(route: KnownRoute, done: Done) -> Iterator[tuple[str, str]]:
    """The project's own methods, each with that one of Channels' which leads to it."""
    for name in route.handlers:
        # Any method that takes one argument looks like one. What other code of the consumer calls is a helper, unless
        # a message has come to it.
        if name not in route.helpers or done.tests(f"handler:{route.consumer}.{name}", "run"):
            yield name, name
    for name, handler in _OF_THE_CONNECTION.items():
        if name in route.methods and name not in route.handlers and not _is_inner(name, route):
            yield name, handler
    for name in _FOR_A_FRAME:
        if name in route.methods and route.protocol != "channel":
            yield name, "websocket_receive"
            break


def _is_inner(name: str, route: KnownRoute) -> bool:
    """Whether ``connect`` stands beside ``websocket_connect``, of which one item is enough."""
    return not name.startswith("websocket_") and f"websocket_{name}" in route.methods
