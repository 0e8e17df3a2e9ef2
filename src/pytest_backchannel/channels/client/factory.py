"""What the ``websocket`` fixture gives: the signature of a factory of clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from .client import WebSocketClient
from .scope import Headers, Query


class WebSocketFactory(Protocol):
    """What the ``websocket`` fixture gives: call it to get a client, and connect by ``async with``."""

    def __call__(
        self,
        target: str | Callable[..., Any],
        path: str | None = None,
        *,
        query: Query | None = None,
        user: Any = None,
        session: Any = None,
        headers: Headers = (),
        cookies: Mapping[str, str] | None = None,
        origin: str | None = None,
        subprotocols: Iterable[str] = (),
        url_kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> WebSocketClient:
        """A client, not yet connected.

        Args:
            target: a path, which goes through the project's ASGI application; or an application or a consumer class.
            path: where the target is not the path: path and query string; ``/`` by default.
            query: parameters for the query string: a mapping or pairs, which are encoded, or the text itself.
            user: as for :class:`WebSocketClient`, and so all others.
            session: what the session holds, or a session store.
            headers: a mapping or pairs.
            cookies: sent beside those of the session.
            origin: the ``Origin`` header; an empty text sends none.
            subprotocols: offered, the preferred one first.
            url_kwargs: what the route would have captured; for a consumer alone.
            timeout: how long each step waits, in seconds; the ini option ``backchannel_timeout`` by default.

        Raises:
            pytest.UsageError: both a path and another target were given, or there is no ``ASGI_APPLICATION``.
            BackchannelError: a value that no client could send.
        """
        ...
