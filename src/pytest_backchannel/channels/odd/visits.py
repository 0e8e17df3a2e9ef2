"""The connections that a test has opened, to be opened again with odd values."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from ..client.client import WebSocketClient
from ..client.connection import Frame
from ..client.lifecycle import ConnectedClient, accepted
from ..routes import Route, websocket_routes
from .odd_inputs import WORDS


@dataclass(eq=False)
class Visit:
    """A connection that was accepted, and how to open it again.

    Attributes:
        client: opens the like of it: same application, path, session, cookies and headers. It was never connected.
        consumer: the class of the consumer.
        route: the route that led there; None where the consumer was driven alone, or no route is its own.
        url_kwargs: what the route took from the path.
        frames: what was sent over it, in both directions; it grows while the test goes on.
        signed_in: whether it had a user, a session, or cookies.
    """

    client: WebSocketClient
    consumer: type[Any]
    route: Route | None
    url_kwargs: dict[str, Any]
    frames: list[Frame]
    signed_in: bool

    @property
    def place(self) -> str:
        """The pattern of the route, or the path."""
        return self.route.path if self.route is not None else str(self.client._scope["path"])

    def messages(self) -> list[dict[str, Any]]:
        """The JSON objects that the test has sent."""
        found: list[dict[str, Any]] = []
        for frame in self.frames:
            if frame.to_client or not isinstance(frame.data, str):
                continue
            with contextlib.suppress(ValueError):
                message = json.loads(frame.data)
                if isinstance(message, dict):
                    found.append(message)
        return found

    def odd_paths(self) -> list[str]:
        """The path with an odd value for each parameter, of the route and of the query string, one at a time."""
        raw, query = self.client._scope["raw_path"].decode(), self.client._scope["query_string"].decode()
        tail = f"?{query}" if query else ""
        found: list[str] = []
        if self.route is not None:
            for name in self.route.parameters:
                for word in WORDS:
                    values = {**self.url_kwargs, name: word}
                    path = self.route.path_for(**{key: quote(str(value), safe="") for key, value in values.items()})
                    found.append(path + tail)
        pairs = parse_qsl(query, keep_blank_values=True)
        for at, (name, _) in enumerate(pairs):
            found += [f"{raw}?{urlencode([*pairs[:at], (name, word), *pairs[at + 1 :]])}" for word in WORDS]
        return found


@contextlib.contextmanager
def noted() -> Generator[list[Visit]]:
    """Within the block, note each connection that our client opens to a consumer of Channels, and that is accepted."""
    visits: list[Visit] = []
    before, accepted.value = accepted.value, lambda client: _note(client, visits)
    try:
        yield visits
    finally:
        accepted.value = before


@contextlib.contextmanager
def unnoted() -> Generator[None]:
    """Within the block, nothing is noted."""
    before, accepted.value = accepted.value, None
    try:
        yield
    finally:
        accepted.value = before


def _note(client: ConnectedClient, visits: list[Visit]) -> None:
    connection = client._opened()
    consumers = connection.opening.consumers
    if not consumers or not isinstance(client, WebSocketClient) or _is_of_tests(type(consumers[-1].consumer)):
        return
    live = consumers[-1]
    kwargs = dict((live.scope.get("url_route") or {}).get("kwargs") or {})
    consumer = type(live.consumer)
    visits.append(
        Visit(
            client=_impatient(client.twin()),
            consumer=consumer,
            route=None if client._alone else _route(client, consumer, kwargs),
            url_kwargs=kwargs,
            frames=connection.frames,
            signed_in=bool(client._cookies or client._user or client._session),
        )
    )


def _impatient(client: WebSocketClient) -> WebSocketClient:
    """What takes longer is no answer here, and there are many values to try."""
    client._timeout = min(client._timeout, 1.0)
    return client


def _is_of_tests(consumer: type[Any]) -> bool:
    """Whether a consumer is one that a test defines, which nobody deploys."""
    try:
        name = os.path.basename(inspect.getfile(consumer))
    except (TypeError, OSError):
        return True
    return name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")


def _route(client: ConnectedClient, consumer: type[Any], kwargs: dict[str, Any]) -> Route | None:
    """The one route that gives this path, these parameters and this consumer."""
    for route in websocket_routes(client._application):
        if route.consumer is consumer and set(route.parameters) == set(kwargs):
            with contextlib.suppress(ValueError):
                if route.path_for(**kwargs) == client._scope["path"]:
                    return route
    return None
