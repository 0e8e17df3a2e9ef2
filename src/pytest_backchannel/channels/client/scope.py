"""The ASGI scope of a WebSocket connection, as uvicorn and daphne build it.

Compared with what both servers really build (uvicorn 0.30–0.54, daphne 4.1–4.2) in ``tests/integration``. They agree
but for what uvicorn alone has: ``state``, ``extensions``, ``http_version``, ``scheme`` and ``asgi["spec_version"]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode

from ...errors import BackchannelError

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
Query = str | Mapping[str, Any] | Iterable[tuple[str, Any]]
_HeaderList = list[tuple[bytes, bytes]]

_HTTP_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


# What a browser sends with every handshake; the key is the one of RFC 6455, section 1.3.
_HANDSHAKE = (
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
    (b"user-agent", b"pytest-backchannel"),
)


def default_host() -> str:
    """A host name that the project's ``ALLOWED_HOSTS`` lets in: its first that names a host, else ``testserver``."""
    from django.conf import settings

    for entry in settings.ALLOWED_HOSTS:
        if entry and "*" not in entry:
            return str(entry).lstrip(".")
    return "testserver"


def split_path(path: object) -> tuple[str, bytes, bytes]:
    """The decoded path, the raw path and the query string of what a browser would be given after the host.

    Args:
        path: such as ``"/ws/rooms/42/?since=7"``; characters that a URL can't carry are percent-encoded.

    Raises:
        BackchannelError: it is no path.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise BackchannelError(f"path={path!r}: give the path of a URL, beginning with '/', such as '/ws/rooms/42/'")
    if "#" in path:
        raise BackchannelError(f"path={path!r}: a WebSocket URL has no fragment ('#…'); browsers refuse it")
    raw, _, query = path.partition("?")
    raw = quote(raw, safe="/%:@!$&'()*+,;=~")
    query = quote(query, safe="/%:@!$&'()*+,;=~?")
    return unquote(raw), raw.encode("ascii"), query.encode("ascii")


def query_text(query: object) -> str:
    """A query string, without the ``?``.

    Args:
        query: a mapping or pairs, which are encoded (a list is one parameter several times); or the text itself.

    Raises:
        BackchannelError: it is none of these, or has a value that can't be meant.
    """
    if isinstance(query, str):
        return query.removeprefix("?")
    pairs: object = query.items() if isinstance(query, Mapping) else query
    if isinstance(pairs, bytes) or not isinstance(pairs, Iterable):
        raise BackchannelError(f"query={query!r}: give a mapping, pairs of name and value, or the text itself")
    found: list[tuple[str, str]] = []
    for pair in pairs:
        if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise BackchannelError(f"query: {pair!r} is no pair of name and value")
        name, value = pair
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is None or isinstance(one, bytes | Mapping):
                raise BackchannelError(
                    f"query: {name!r} is {one!r}, which no URL can carry; give a text or a number, or leave it out"
                )
            found.append((str(name), str(one)))
    return urlencode(found)


def with_query(path: str, query: object) -> str:
    """The path with a query string behind what query it has."""
    text = "" if query is None else query_text(query)
    if not text:
        return path
    return f"{path}{'&' if '?' in path else '?'}{text}"


def header_list(headers: object) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them: lower-cased names, all bytes (a server lower-cases what a client sends).

    Args:
        headers: a mapping, or pairs; names and values as ``str`` or ``bytes``, names in any case.

    Raises:
        BackchannelError: something in it can't be a header.
    """
    pairs: object = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise BackchannelError(f"headers={headers!r}: give a mapping, or pairs of name and value")
    found: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise BackchannelError(f"headers: {pair!r} is no pair of name and value")
        name, value = (_header_bytes(part) for part in pair)
        if not name or not set(name.decode("latin-1")) <= _HTTP_TOKEN:
            raise BackchannelError(f"headers: {pair[0]!r} can't be the name of a header")
        if b"\r" in value or b"\n" in value:
            raise BackchannelError(f"headers: the value {pair[1]!r} has a line break")
        found.append((name.lower(), value.strip()))
    return found


def _header_bytes(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        try:
            return part.encode("latin-1")
        except UnicodeEncodeError as error:
            raise BackchannelError(f"headers: {part!r} has characters that no HTTP header can carry") from error
    raise BackchannelError(f"headers: {part!r} is {type(part).__name__}; give str or bytes")


def check_subprotocols(subprotocols: object) -> list[str]:
    """The offered subprotocols as a list.

    Raises:
        BackchannelError: not a list of names that a browser would offer.
    """
    if isinstance(subprotocols, str) or not isinstance(subprotocols, Iterable):
        raise BackchannelError(f"subprotocols={subprotocols!r}: give a list of names, such as ['v2.chat', 'v1.chat']")
    found = list(subprotocols)
    for name in found:
        if not isinstance(name, str) or not name or not set(name) <= _HTTP_TOKEN:
            raise BackchannelError(f"subprotocols: {name!r} can't be the name of a subprotocol")
    if len(set(found)) < len(found):
        raise BackchannelError(f"subprotocols={found!r}: a name is given twice; browsers refuse it")
    return found


def websocket_scope(
    path: str,
    *,
    headers: Headers = (),
    origin: str | None = None,
    subprotocols: Iterable[str] = (),
) -> dict[str, Any]:
    """The scope of one connection.

    Args:
        path: path and query string.
        headers: they replace a default header of the same name.
        origin: the ``Origin`` header; None sends the host's own, as a page of the same site does, and an empty text
            sends none, as clients do that are no browsers.
        subprotocols: offered to the application, the preferred one first.

    Returns:
        A fresh dictionary.

    Raises:
        BackchannelError: a value that no client could send.
    """
    decoded, raw_path, query_string = split_path(path)
    given = header_list(headers)
    offered = check_subprotocols(subprotocols)
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 50000),
        "root_path": "",
        "path": decoded,
        "raw_path": raw_path,
        "query_string": query_string,
        "headers": with_cookies(_sent(given, origin, offered), {}),
        "subprotocols": offered or _offered_in(given),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


def _sent(given: _HeaderList, origin: str | None, offered: list[str]) -> _HeaderList:
    """What a client sends: a browser's headers, and in place of those of the same name the given ones."""
    host = next((value for name, value in given if name == b"host"), None) or default_host().encode("latin-1")
    sent = [(b"host", host), *_HANDSHAKE]
    if origin is None:
        sent.append((b"origin", b"http://" + host))
    elif origin:
        given = [(name, value) for name, value in given if name != b"origin"]
        sent.append((b"origin", _header_bytes(origin)))
    if offered:
        sent.append((b"sec-websocket-protocol", ", ".join(offered).encode("ascii")))
    names = {name for name, _ in given}
    return [(name, value) for name, value in sent if name not in names] + given


def _offered_in(headers: _HeaderList) -> list[str]:
    return [
        token.strip()
        for name, value in headers
        if name == b"sec-websocket-protocol"
        for token in value.decode("latin-1").split(",")
    ]


def with_cookies(headers: list[tuple[bytes, bytes]], cookies: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers with one ``cookie`` header, as browsers send it: Channels reads the first one only.

    Args:
        headers: what cookies they have comes first.
        cookies: further ones.

    Raises:
        BackchannelError: a cookie that no browser could send.
    """
    parts = [value for name, value in headers if name == b"cookie"]
    if not parts and not cookies:
        return list(headers)
    for name, value in cookies.items():
        pair = f"{name}={value}"
        if not name or any(character in pair for character in ";\r\n") or "=" in name:
            raise BackchannelError(f"cookies: {name!r}: {value!r} can't be a cookie")
        parts.append(_header_bytes(pair))
    rest = [(name, value) for name, value in headers if name != b"cookie"]
    return [*rest, (b"cookie", b"; ".join(parts))]
