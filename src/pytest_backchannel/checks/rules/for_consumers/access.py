"""BC5xx: who may open a socket, and from whose pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from ....source import ConsumerDef, WebSocketRoute
from ...checked_file import is_test
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule

# Names of Channels' own that say nothing of who it is (channels 4.2–4.3).
_NO_AUTHENTICATION = frozenset(
    {"AllowedHostsOriginValidator", "OriginValidator", "CookieMiddleware", "SessionMiddleware"}
    | {"SessionMiddlewareStack", "ProtocolTypeRouter", "URLRouter"}
)
_BY_COOKIE = frozenset({"AuthMiddlewareStack", "AuthMiddleware", "SessionMiddlewareStack", "SessionMiddleware"})
_LOOKS_AT_ORIGIN = (b"OriginValidator(", b"'origin'", b'"origin"', b"allowed_origins")
_ASKS = re.compile(rb"(?i)token|auth|user|login|permission|signature|signed|hmac|secret|api_?key|password|jwt|ticket")


def _open_routes(tree: CheckedTree) -> dict[tuple[str, tuple[str, ...]], list[WebSocketRoute]]:
    """The project's WebSocket routes of which it is known what stands before them, by router."""
    found: dict[tuple[str, tuple[str, ...]], list[WebSocketRoute]] = {}
    for route in tree.index.routes:
        consumer = tree.index.consumers.get(route.consumer)
        is_socket = consumer is not None and consumer.protocol == "websocket" and route.kind != "channel"
        if is_socket and route.through_router and not is_test(route.place.path):
            found.setdefault((route.place.path, route.middleware), []).append(route)
    return found


def _last_names(route: WebSocketRoute) -> set[str]:
    return {one.rpartition(".")[2] for one in route.middleware}


def _named(routes: list[WebSocketRoute]) -> str:
    more = f" and {len(routes) - 1} more" if len(routes) > 1 else ""
    return f"{routes[0].pattern!r}{more}"


class NoAuthentication(TreeRule):
    """BC509."""

    code = "BC509"
    name = "no-authentication"
    severity: ClassVar = "error"
    summary = "Nobody asks who opens the socket: neither a middleware nor the consumer."
    why = "Django's own middleware does not see WebSockets: whoever knows the address may listen and send."
    fix = "`AuthMiddlewareStack` around the `URLRouter`, and a look at `self.scope['user']` before `accept()`."
    path = "chat/asgi.py"
    page = "how-to/auth-and-origin-matrix.md"
    wrong = """
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path


class Orders(AsyncWebsocketConsumer):
    groups = ["orders"]


application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(URLRouter([path("ws/orders/", Orders.as_asgi())]))}
)
"""
    right = """
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path


class Orders(AsyncWebsocketConsumer):
    groups = ["orders"]

    async def connect(self):
        if self.scope["user"].is_anonymous:
            await self.close()
            return
        await self.accept()


application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([path("ws/orders/", Orders.as_asgi())])))}
)
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where all middleware is Channels' own and knows no user, and no consumer reads anything like one."""
        for routes in _open_routes(tree).values():
            if not _last_names(routes[0]) <= _NO_AUTHENTICATION:
                continue
            unasked = [route for route in routes if _asks_nothing(tree, route)]
            if unasked:
                yield unasked[0].place, f"nobody asks who connects to {_named(unasked)}"


def _asks_nothing(tree: CheckedTree, route: WebSocketRoute) -> bool:
    consumer: ConsumerDef | None = tree.index.consumers.get(route.consumer)
    if consumer is None or any(not base.startswith("channels.") for base in _foreign(tree, consumer)):
        return False
    return not any(_ASKS.search(tree.class_text(one)) for one in tree.lineage(consumer))


def _foreign(tree: CheckedTree, consumer: ConsumerDef) -> set[str]:
    """The bases that are not of the tree: what they ask is not known."""
    return {base for one in tree.lineage(consumer) for base in one.bases if base not in tree.index.consumers}


class NoOriginCheck(TreeRule):
    """BC510."""

    code = "BC510"
    name = "no-origin-check"
    severity: ClassVar = "error"
    summary = "A socket takes its user from a cookie, and looks at no origin."
    why = (
        "Browsers send cookies with a WebSocket from any page, and no CSRF token guards it: the page of somebody else "
        "opens it in the name of its visitor, reads what is sent, and sends."
    )
    fix = "`AllowedHostsOriginValidator(AuthMiddlewareStack(…))`."
    path = "chat/asgi.py"
    page = "how-to/auth-and-origin-matrix.md"
    wrong = (
        NoAuthentication.right[: NoAuthentication.right.index("application = ")].replace(
            "from channels.security.websocket import AllowedHostsOriginValidator\n", ""
        )
        + """
routes = [path("ws/orders/", Orders.as_asgi())]
application = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(URLRouter(routes))})
""".lstrip()
    )
    right = NoAuthentication.right

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where all middleware is Channels' own, and nothing of the project speaks of an origin."""
        for routes in _open_routes(tree).values():
            names = _last_names(routes[0])
            known = names <= _BY_COOKIE | {"CookieMiddleware"}
            if names & _BY_COOKIE and known and not tree.says(*_LOOKS_AT_ORIGIN):
                yield routes[0].place, f"any page may open {_named(routes)} in the name of its visitor"
