"""HTTP: what a mock of the test answers is noted, and what would reach a server is refused."""

from __future__ import annotations

import sys
from typing import Any

from ...shadows import told_parent
from ..effect_log import note
from .used_up_doubles import note_unanswered

_READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Of which a second one does what the first has done: RFC 9110, 9.2.2; and what caches such as Varnish and Fastly take.
_IDEMPOTENT = frozenset({"PUT", "DELETE", "PURGE", "BAN"})


def install() -> None:
    """Watch the clients that are loaded."""
    import http.client

    if "requests" in sys.modules:
        owner: Any = sys.modules["requests"].Session
        owner.send = _noted(owner.send)
    if "httpx" in sys.modules:
        client: Any = sys.modules["httpx"].Client
        client.send = _noted(client.send)
    http.client.HTTPConnection.putrequest = _refuse  # type: ignore[method-assign, assignment]


def _noted(before: Any) -> Any:
    def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            response = before(client, request, *args, **kwargs)
        except Exception as error:
            note_unanswered(error)
            raise
        method = str(getattr(request, "method", "")).upper()
        if method not in _READS:
            address = str(getattr(request, "url", "")).partition("?")[0]
            keyed = method in _IDEMPOTENT or any(
                "idempotency" in str(name).lower() for name in getattr(request, "headers", None) or ()
            )
            note("http", f"HTTP {method} {address}", of=address, outward=True, keyed=keyed)
        return response

    return send


def _refuse(connection: Any, method: str, url: str, *args: Any, **kwargs: Any) -> None:
    told_parent.refuse(f"it calls {connection.host} by HTTP ({method})")
