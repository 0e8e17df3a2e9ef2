"""What an application may send, message by message; the servers' verdicts are in tests/integration/channels."""

from __future__ import annotations

import pytest

from pytest_backchannel.channels.client.server_rules import State, check, may_be_sent
from pytest_backchannel.errors import ContractViolation


@pytest.mark.parametrize(
    ("state", "message", "text"),
    [
        (State.OPEN, "websocket.send", "an ASGI message is a dict, not str"),
        (State.OPEN, {"text": "x"}, "needs a 'type' that is a str"),
        (State.CONNECTING, {"type": "websocket.send", "text": "x"}, "accept() first"),
        (State.CONNECTING, {"type": "http.response.start"}, "Expected websocket.accept, websocket.close or"),
        (State.CONNECTING, {"type": "websocket.accept", "subprotocol": 7}, "a subprotocol is a str"),
        (State.CONNECTING, {"type": "websocket.accept", "subprotocol": "v9"}, "the client offered 'v1', 'v2'"),
        (State.CONNECTING, {"type": "websocket.accept", "headers": [("a", "b")]}, "must be a pair of bytes"),
        (State.CONNECTING, {"type": "websocket.accept", "headers": [7]}, "no pair of name and value"),
        (
            State.CONNECTING,
            {"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"v1")]},
            "choose a subprotocol with accept(subprotocol=…)",
        ),
        (State.OPEN, {"type": "websocket.accept"}, "accepted already"),
        (State.OPEN, {"type": "websocket.send"}, "has neither"),
        (State.OPEN, {"type": "websocket.send", "text": "a", "bytes": b"b"}, "has both"),
        (State.OPEN, {"type": "websocket.send", "text": b"a"}, "'text' is bytes, not str"),
        (State.OPEN, {"type": "websocket.send", "bytes": "a"}, "'bytes' is str, not bytes"),
        (State.OPEN, {"type": "websocket.close", "code": 999}, "close(code=999): this code may not be sent"),
        (State.OPEN, {"type": "websocket.close", "code": "1000"}, "close(code='1000')"),
        (State.OPEN, {"type": "websocket.close", "reason": "é" * 62}, "at most 123 bytes"),
        (State.CLOSED, {"type": "websocket.send", "text": "x"}, "websocket.send while the connection is closed"),
        (State.CLOSED, {"type": "websocket.close"}, "close() once"),
        (State.CONNECTING, {"type": "websocket.http.response.start", "status": 101}, "no"),
        (State.RESPONDING, {"type": "websocket.http.response.body", "body": "x"}, "'body' is str, not bytes"),
        (State.RESPONDING, {"type": "websocket.accept"}, "Expected websocket.http.response.body"),
    ],
)
def test_refused(state, message, text):
    with pytest.raises(ContractViolation) as refused:
        check(message, state, ["v1", "v2"])
    assert text in str(refused.value)
    assert isinstance(refused.value, RuntimeError)  # as uvicorn's own refusals


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (State.CONNECTING, {"type": "websocket.accept"}),
        (State.CONNECTING, {"type": "websocket.accept", "subprotocol": None, "headers": []}),
        (State.CONNECTING, {"type": "websocket.accept", "subprotocol": "v2", "headers": [[b"a", b"b"]]}),
        (State.CONNECTING, {"type": "websocket.close", "code": 999}),
        (State.CONNECTING, {"type": "websocket.http.response.start", "status": 401}),
        (State.OPEN, {"type": "websocket.send", "text": ""}),
        (State.OPEN, {"type": "websocket.send", "text": None, "bytes": b""}),
        (State.OPEN, {"type": "websocket.send", "bytes": bytearray(b"x")}),
        (State.OPEN, {"type": "websocket.close"}),
        (State.OPEN, {"type": "websocket.close", "code": None, "reason": "é" * 61}),
        (State.RESPONDING, {"type": "websocket.http.response.body"}),
    ],
)
def test_carried(state, message):
    assert check(message, state, ["v1", "v2"]) is message


def test_close_codes():
    assert [code for code in range(5100) if may_be_sent(code)] == [
        *(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014),
        *range(3000, 5000),
    ]
