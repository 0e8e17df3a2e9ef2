"""Which WebSocket connections tests open, through what, and how they are answered; which handlers of consumers run.

A connection goes through the application where it enters that by its first router; by a router where it only goes
through URL patterns; and else it reaches the consumer as a class. Communicators, the plugin's own client and a server
in this process are all seen, since they all call the same application.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ....active import Replaced, Replacement
from ....channels.routes import first_routers
from ....channels.watch import consumers
from ....channels.watch.consumers import LiveConsumer, Message, handler_name
from ....channels.watch.crash import is_crash
from ..facts import gathering, note
from .dispatch_fields import DISPATCH_FIELDS

MOST_CHARACTERS = 60


class _Visit:
    """One handshake on its way through routers."""

    def __init__(self, path: str, through: str) -> None:
        self.path, self.through = path, through
        self.consumer = ""
        self.answered = False

    def tell(self, outcome: str) -> None:
        """Note how it was answered; the first answer counts."""
        if not self.answered:
            self.answered = True
            note(f"socket:{self.path}", f"{self.through}:{outcome}", self.consumer)


_visit: ContextVar[_Visit | None] = ContextVar("pytest_backchannel_visit", default=None)


def install() -> None:
    """Watch from now on; Channels is loaded."""
    consumers.install()
    consumers.tell(_handlers)
    _routers.install()


def remove() -> None:
    """Watch no more."""
    _routers.remove()
    consumers.forget(_handlers)
    consumers.remove()


def class_path(consumer: Any) -> str:
    """The path of a consumer's class."""
    return f"{type(consumer).__module__}.{type(consumer).__qualname__}"


class _Handlers(consumers.Observer):
    def will_handle(self, consumer: LiveConsumer, message: Message) -> None:
        name, path = handler_name(message), class_path(consumer.consumer)
        if name == "websocket_connect" and (visit := _visit.get()) is not None:
            visit.consumer = path
        if hasattr(consumer.consumer, name):
            note(f"handler:{path}.{name}", "run", str(message.get("type", "")))
        if name == "websocket_receive":
            _note_frame(path, message.get("text"))

    def handled(self, consumer: LiveConsumer, message: Message) -> None:
        self._answered(consumer, message, crashed=False)

    def crashed(self, consumer: LiveConsumer, message: Message, error: BaseException) -> None:
        note(f"handler:{class_path(consumer.consumer)}.{handler_name(message)}", "crashed")
        self._answered(consumer, message, crashed=True)

    def _answered(self, consumer: LiveConsumer, message: Message, *, crashed: bool) -> None:
        """How a consumer that is called without any router has answered the handshake."""
        opening = consumer.opening
        if opening is None or _visit.get() is not None or handler_name(message) != "websocket_connect":
            return
        sent = opening.sent
        outcome = "accepted" if "websocket.accept" in sent else "refused" if "websocket.close" in sent else ""
        if outcome or crashed:
            note(f"socket:{consumer.path}", f"class:{outcome or 'crashed'}", class_path(consumer.consumer))


_handlers = _Handlers()


def _note_frame(path: str, text: Any) -> None:
    try:
        content = json.loads(text) if isinstance(text, str) and text.lstrip().startswith("{") else None
    except ValueError:
        return
    if not isinstance(content, dict):
        return
    for field in DISPATCH_FIELDS.intersection(content):
        value = content[field]
        if isinstance(value, str) and len(value) <= MOST_CHARACTERS:
            note(f"frame:{path}", "received", f"{field}={value}")


def _through(router: Any) -> str:
    """``application`` where a router is the first of the project's own application, ``router`` for another one."""
    return "application" if any(router is first for first in _project_routers()) else "router"


def _project_routers() -> list[Any]:
    from django.conf import settings

    module, _, attribute = str(getattr(settings, "ASGI_APPLICATION", "") or "").rpartition(".")
    # What no test has imported, no test has gone through.
    application = getattr(sys.modules.get(module), attribute, None)
    return [] if application is None else _first_routers(application)


@functools.lru_cache(maxsize=8)
def _first_routers(application: Any) -> list[Any]:
    return first_routers(application)


# --- private API: none. ProtocolTypeRouter.__call__ and URLRouter.__call__ are what an ASGI server calls.


async def _route(router: Any, scope: Mapping[str, Any], receive: Any, send: Any, original: Any) -> Any:
    if not gathering() or scope.get("type") != "websocket" or _visit.get() is not None:
        return await original(router, scope, receive, send)
    visit = _Visit(str(scope.get("path", "")), _through(router))

    async def noting(message: Any) -> Any:
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "websocket.accept":
            visit.tell("accepted")
        elif kind in ("websocket.close", "websocket.http.response.start"):
            visit.tell("refused")
        return await send(message)

    token = _visit.set(visit)
    try:
        return await original(router, scope, receive, noting)
    except BaseException as error:
        if is_crash(error) and visit.consumer:  # and not for want of a route
            visit.tell("crashed")
        raise
    finally:
        _visit.reset(token)


def _replacements() -> list[Replacement]:
    from channels.routing import ProtocolTypeRouter, URLRouter

    return [Replacement(router_class, "__call__", _noting_route) for router_class in (ProtocolTypeRouter, URLRouter)]


def _noting_route(original: Any) -> Any:
    @functools.wraps(original)  # a coroutine function too: asgiref asks for it
    async def route(router: Any, scope: Any, receive: Any, send: Any) -> Any:
        return await _route(router, scope, receive, send, original)

    return route


_routers = Replaced("routers for the report", _replacements, of_the_run=True)
