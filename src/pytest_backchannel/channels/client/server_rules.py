"""What an application may send over a WebSocket, and when, as real servers enforce it.

The rules are those of the ASGI specification (HTTP & WebSocket 2.4) and of RFC 6455, as uvicorn 0.54
(``websockets-sansio``) and daphne 4.2 (autobahn) enforce them. Where one of the two is stricter or laxer than the
specification, ``docs/explanation/websocket-contract.md`` says so.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ContractViolation


class State(enum.Enum):
    """Where a connection is, as the server sees it."""

    CONNECTING = "connecting"
    OPEN = "open"
    RESPONDING = "responding"  #: an HTTP response has begun instead of a connection
    CLOSED = "closed"  #: the application has closed or refused it, or its HTTP response is complete
    GONE = "gone"  #: the client has closed it, or it broke


_EXPECTED = {
    State.CONNECTING: "websocket.accept, websocket.close or websocket.http.response.start",
    State.OPEN: "websocket.send or websocket.close",
    State.RESPONDING: "websocket.http.response.body",
    State.CLOSED: "nothing: the connection is closed",
}
_ALLOWED = {
    State.CONNECTING: {"websocket.accept", "websocket.close", "websocket.http.response.start"},
    State.OPEN: {"websocket.send", "websocket.close"},
    State.RESPONDING: {"websocket.http.response.body"},
    State.CLOSED: set[str](),
}
_WHY = {
    (State.CONNECTING, "websocket.send"): "A frame can be sent only after the connection is accepted: accept() first",
    (State.OPEN, "websocket.accept"): "It is accepted already, and a second accept() crashes on every server",
    (State.CLOSED, "websocket.send"): "uvicorn raises RuntimeError here, and daphne drops the frame",
    (State.CLOSED, "websocket.close"): "uvicorn raises RuntimeError here: close() once",
    (State.CLOSED, "websocket.accept"): "It is refused already, and can't be accepted any more",
}

#: The close codes that a peer may send: RFC 6455, section 7.4, and the registry that it founds.
SENDABLE = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


def may_be_sent(code: object) -> bool:
    """Whether a close code may be sent over the wire (1005, 1006 and 1015 are only ever reported, never sent)."""
    return isinstance(code, int) and not isinstance(code, bool) and (code in SENDABLE or 3000 <= code <= 4999)


def check(message: Any, state: State, offered: Iterable[str]) -> Mapping[str, Any]:
    """Check one message of the application.

    Args:
        message: what it sends.
        state: where the connection is; for ``GONE`` there is nothing to check.
        offered: the subprotocols that the client offered.

    Returns:
        The message.

    Raises:
        ContractViolation: no server would carry it.
    """
    if not isinstance(message, Mapping):
        raise ContractViolation(f"an ASGI message is a dict, not {type(message).__name__}: {message!r}")
    kind = message.get("type")
    if not isinstance(kind, str):
        raise ContractViolation(f"an ASGI message needs a 'type' that is a str: {message!r}")
    if kind not in _ALLOWED[state]:
        why = _WHY.get((state, kind), f"Expected {_EXPECTED[state]}")
        raise ContractViolation(f"{kind} while the connection is {state.value}. {why}.")
    checks = {
        "websocket.accept": _check_accept,
        "websocket.send": _check_send,
        "websocket.close": _check_close,
        "websocket.http.response.start": _check_response_start,
        "websocket.http.response.body": _check_response_body,
    }
    checks[kind](message, state, list(offered))
    return message


def _check_accept(message: Mapping[str, Any], state: State, offered: list[str]) -> None:
    subprotocol = message.get("subprotocol")
    if subprotocol is not None:
        if not isinstance(subprotocol, str):
            raise ContractViolation(f"accept(subprotocol={subprotocol!r}): a subprotocol is a str")
        if subprotocol not in offered:
            given = ", ".join(map(repr, offered)) or "none"
            raise ContractViolation(
                f"accept(subprotocol={subprotocol!r}): the client offered {given}. A browser drops a connection whose "
                "server chooses what was not offered."
            )
    _check_headers(message, "accept")
    for name, _ in message.get("headers") or ():
        if name.lower() == b"sec-websocket-protocol":
            raise ContractViolation("accept(headers=…): choose a subprotocol with accept(subprotocol=…), not by header")


def _check_send(message: Mapping[str, Any], state: State, offered: list[str]) -> None:
    text, data = message.get("text"), message.get("bytes")
    if (text is None) == (data is None):
        raise ContractViolation(
            f"websocket.send needs exactly one of 'text' and 'bytes', and has {'neither' if text is None else 'both'}: "
            f"{dict(message)!r}"
        )
    if text is not None and not isinstance(text, str):
        raise ContractViolation(f"websocket.send: 'text' is {type(text).__name__}, not str: {text!r}")
    if data is not None and not isinstance(data, bytes | bytearray | memoryview):
        raise ContractViolation(f"websocket.send: 'bytes' is {type(data).__name__}, not bytes: {data!r}")


def _check_close(message: Mapping[str, Any], state: State, offered: list[str]) -> None:
    if state is State.CONNECTING:
        return  # no close frame is sent: the client gets HTTP 403, whatever the code says
    code = message.get("code", 1000)
    if code is not None and not may_be_sent(code):
        raise ContractViolation(
            f"close(code={code!r}): this code may not be sent. Use 1000, another of 1001–1003 and 1007–1014, "
            "3000–3999 (registered) or 4000–4999 (the application's own)."
        )
    reason = message.get("reason")
    if reason is not None and (not isinstance(reason, str) or len(reason.encode()) > 123):
        raise ContractViolation(f"close(reason={reason!r}): a reason is a str of at most 123 bytes in UTF-8")


def _check_response_start(message: Mapping[str, Any], state: State, offered: list[str]) -> None:
    status = message.get("status")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ContractViolation(
            f"websocket.http.response.start: 'status' is {status!r}, not an HTTP status of a refusal"
        )
    _check_headers(message, "websocket.http.response.start")


def _check_response_body(message: Mapping[str, Any], state: State, offered: list[str]) -> None:
    body = message.get("body", b"")
    if not isinstance(body, bytes):
        raise ContractViolation(f"websocket.http.response.body: 'body' is {type(body).__name__}, not bytes")


def _check_headers(message: Mapping[str, Any], what: str) -> None:
    for pair in message.get("headers") or ():
        try:
            name, value = pair
        except (TypeError, ValueError):
            raise ContractViolation(f"{what}: the header {pair!r} is no pair of name and value") from None
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ContractViolation(f"{what}: the header {pair!r} must be a pair of bytes")
