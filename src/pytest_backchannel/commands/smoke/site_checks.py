"""The site, its WebSockets, and a message that goes through the channel layer to a live socket."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ...servers.urls import without_secrets
from .limits import TooSlow, limited
from .results import FAILED, Check, Outcome


@dataclass(frozen=True)
class Message:
    """A message for the channel layer, and the socket that shall get it.

    Attributes:
        path: the websocket route.
        group: the group that its consumer joins.
        content: the message, with its ``type``.
    """

    path: str
    group: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """Where the deployed site is, and how to knock.

    Attributes:
        url: such as ``https://shop.example``.
        origin: what the handshake says it comes from; the site itself where empty.
        headers: for every request and handshake, such as a session's cookie.
        timeout: how long each answer may take, in seconds.
    """

    url: str
    origin: str
    headers: Sequence[tuple[str, str]]
    timeout: float

    @property
    def sent_origin(self) -> str:
        """What the handshakes send as ``Origin``."""
        parts = urlsplit(self.url)
        return self.origin or f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def ws_url(self, path: str) -> str:
        """The address of a websocket route."""
        parts = urlsplit(self.url)
        scheme = {"https": "wss", "http": "ws"}[parts.scheme]
        return f"{scheme}://{parts.netloc.rpartition('@')[2]}/{path.lstrip('/')}"


def site_checks(site: Site, paths: Sequence[str], messages: Sequence[Message]) -> Iterator[Outcome]:
    """Check the site, each route's handshake, the channel layer, and each message.

    Args:
        site: where.
        paths: the websocket routes.
        messages: what shall reach a socket.
    """
    outcome = _http(site)
    yield outcome
    if outcome.status == FAILED and "HTTP" not in outcome.text:
        for path in [*paths, *(message.path for message in messages)]:
            yield Check("websocket", path).skipped("not tried, since the site does not answer")
        return
    if (paths or messages) and find_spec("websockets") is None:
        yield Check("websocket").failed("websockets is not installed", "pip install 'pytest-backchannel[servers]'")
        return
    for path in paths:
        yield _handshake(site, path)
    for message in messages:
        yield _message(site, message)


def _http(site: Site) -> Outcome:
    check = Check("site", without_secrets(site.url))

    def get() -> int:
        request = urllib.request.Request(site.url, headers={**dict(site.headers), "User-Agent": "backchannel-smoke"})
        try:
            with urllib.request.urlopen(request, timeout=site.timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    try:
        status = limited(get, site.timeout)
    except Exception as error:
        reason = getattr(error, "reason", None) or error
        late = isinstance(reason, (TooSlow, TimeoutError))
        text = f" within {site.timeout:g} s" if late else f": {str(reason) or type(reason).__name__}"
        return check.failed(f"no answer{text}", "Is the web server up?")
    if status >= 500 or status in (400, 404):
        fix = "Is the host in ALLOWED_HOSTS?" if status == 400 else ""
        return check.failed(f"answers HTTP {status}", fix)
    return check.passed(f"answers HTTP {status}")


# ----------------------------------------------------------------- WebSockets


def _connect(site: Site, path: str) -> Any:
    from websockets.sync import client

    connect: Any = client.connect
    return connect(
        site.ws_url(path),
        origin=site.sent_origin,
        additional_headers=list(site.headers),
        open_timeout=site.timeout,
        close_timeout=0.2,
        user_agent_header="backchannel-smoke",
        proxy=None,
    )


def _handshake(site: Site, path: str) -> Outcome:
    check = Check("websocket", path)

    def shake() -> int | None:
        from websockets.exceptions import ConnectionClosed

        with _connect(site, path) as socket:
            # A consumer that accepts and then breaks or closes does so at once.
            try:
                socket.recv(timeout=0.25)
            except TimeoutError:
                return None
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else 1006
        return None

    try:
        code = limited(shake, site.timeout)
    except Exception as error:
        return check.failed(*_refusal(site, error))
    if code is not None:
        text = f"accepted, and closed at once with code {code}"
        fix = (
            "The consumer broke: look at the site's log." if code in (1006, 1011) else "Does it want a signed-in user?"
        )
        return check.failed(text, fix)
    return check.passed(f"handshake completed in {check.seconds:.2f} s")


def _refusal(site: Site, error: BaseException) -> tuple[str, str]:
    """What went wrong with a handshake, and what to do."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 403:
        if not _origin_allowed(site.sent_origin):
            return (
                f"refused with HTTP 403: the origin {site.sent_origin} is not in ALLOWED_HOSTS",
                "Add its host to ALLOWED_HOSTS (or to the list of the OriginValidator), or give --origin.",
            )
        return (
            "refused with HTTP 403: by the consumer, its authentication or an origin check",
            "Where it wants a signed-in user, give --header 'Cookie: sessionid=…'.",
        )
    if type(error).__name__ == "InvalidMessage":
        return "the answer to the handshake is not HTTP", "Is it an ASGI server, or a proxy for one, that answers here?"
    if status == 404 or (status is not None and status in (200, 301, 302)):
        return (
            f"refused with HTTP {status}: the path is answered as an ordinary page",
            "Does the proxy pass the Upgrade header, and does an ASGI server (not WSGI) answer here?",
        )
    if status == 500:
        return (
            "refused with HTTP 500: there is no such route, or its consumer broke before it accepted",
            "Channels raises 'No route found for path' where a route is missing: look at the site's log.",
        )
    if status is not None:
        return f"refused with HTTP {status}", ""
    if isinstance(error, (TooSlow, TimeoutError)):
        return (
            f"no answer to the handshake within {site.timeout:g} s",
            "Does the consumer wait for something before accept(), such as a channel layer that does not answer?",
        )
    return f"no handshake: {type(error).__name__}: {error}", ""


def _origin_allowed(origin: str) -> bool:
    from django.conf import settings
    from django.http.request import validate_host

    host = urlsplit(origin).hostname or ""
    allowed = settings.ALLOWED_HOSTS or ([".localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    return bool(validate_host(host, allowed))


# -------------------------------------------------------------- channel layer


def layer_check(timeout: float) -> Iterator[Outcome]:
    """Whether the channel layer carries a message, from this process to itself.

    Args:
        timeout: how long it may take, in seconds.
    """
    from channels.layers import get_channel_layer

    check = Check("layer")
    layer: Any = get_channel_layer()
    if layer is None:
        yield check.skipped("the settings have no CHANNEL_LAYERS")
        return
    if type(layer).__name__ == "InMemoryChannelLayer":
        yield check.failed(
            "it lives in the memory of one process: no worker and no second web server reaches a socket",
            "Set CHANNEL_LAYERS to channels_redis.core.RedisChannelLayer.",
        )
        return
    token = uuid.uuid4().hex

    async def there_and_back() -> None:
        try:
            channel = await layer.new_channel("backchannel.smoke")
            await layer.send(channel, {"type": "smoke", "token": token})
            message = await asyncio.wait_for(layer.receive(channel), timeout)
            if message.get("token") != token:
                raise ValueError("another message came back")
        finally:
            await _close(layer)

    try:
        limited(lambda: asyncio.run(there_and_back()), timeout)
    except Exception as error:
        text = f"carries nothing: {type(error).__name__}: {error}".rstrip(": ")
        yield check.failed(text, "Is its Redis up, and reachable from here?")
        return
    yield check.passed(f"carries a message in {check.seconds:.2f} s")


def _message(site: Site, message: Message) -> Outcome:
    from channels.layers import get_channel_layer

    check = Check("message", f"{message.group} → {message.path}")
    layer: Any = get_channel_layer()
    if layer is None:
        return check.failed("the settings have no CHANNEL_LAYERS")

    async def send() -> None:
        try:
            await layer.group_send(message.group, dict(message.content))
        finally:
            await _close(layer)

    def reach() -> str:
        deadline = time.monotonic() + site.timeout
        with _connect(site, message.path) as socket:
            # The consumer may join its group after it has accepted: so again, until the frame is there.
            while time.monotonic() < deadline:
                asyncio.run(send())
                try:
                    return str(socket.recv(timeout=0.5))
                except TimeoutError:
                    continue
        raise TooSlow

    try:
        limited(reach, site.timeout)
    except TooSlow:
        return check.failed(
            f"no frame has reached the socket within {site.timeout:g} s",
            "Do the web server and this command use the same layer (same Redis, database and prefix), does the "
            "consumer join that group, and does it have a handler for the message's type?",
        )
    except Exception as error:
        return check.failed(*_refusal(site, error))
    return check.passed(f"reached a live socket in {check.seconds:.2f} s")


async def _close(layer: Any) -> None:
    close = getattr(layer, "close_pools", None)
    if close is not None:
        await close()


def parse_message(path: str, group: str, text: str) -> Message:
    """A message from the three words of the command line.

    Raises:
        ValueError: the third is not a JSON object with a ``type``.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--message {path} {group} {text!r}: the message is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise ValueError(
            f"--message {path} {group} {text!r}: give a JSON object with the name of its handler, such as "
            '{"type": "chat.message", "text": "hello"}'
        )
    return Message(path, group, content)
