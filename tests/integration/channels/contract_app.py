"""An ASGI application with one scenario a path: what an application does, right or wrong, with its connection.

It is run in process, by uvicorn and by daphne. What happened to it is kept, and sent to who connects to ``/journal/``.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

JOURNAL: dict[str, dict[str, Any]] = {}
SCENARIOS: dict[str, Any] = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def accept(**extra):
    return {"type": "websocket.accept", **extra}


def text(data="x"):
    return {"type": "websocket.send", "text": data}


def close(*code, **extra):
    return {"type": "websocket.close", **({"code": code[0]} if code else {}), **extra}


async def until_disconnect(receive, send=None):
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message
        if send is not None:
            await send(text(message["text"]))


# ----------------------------------------------------------------------- right


@scenario
async def echo(scope, receive, send):
    await send(accept())
    await until_disconnect(receive, send)


@scenario
async def dropped(scope, receive, send):
    await send(accept())
    await until_disconnect(receive)


@scenario
async def accept_with_header(scope, receive, send):
    await send(accept(headers=[(b"x-answer", b"42")]))
    await until_disconnect(receive, send)


@scenario
async def offered_subprotocol(scope, receive, send):
    await send(accept(subprotocol=scope["subprotocols"][1]))
    await until_disconnect(receive, send)


@scenario
async def empty_text(scope, receive, send):
    await send(accept())
    await send(text(""))
    await send(close(4000))
    await until_disconnect(receive)


@scenario
async def refuse(scope, receive, send):
    await send(close(4003))
    await until_disconnect(receive)


@scenario
async def http_response(scope, receive, send):
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send(close())
    else:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"because")]})
        await send({"type": "websocket.http.response.body", "body": b"no"})
    await until_disconnect(receive)


def _close_with(*code, **extra):
    async def closes(scope, receive, send):
        await send(accept())
        await send(close(*code, **extra))
        await until_disconnect(receive)

    return closes


for _code in (1000, 3000, 4000, 4999):
    SCENARIOS[f"close_{_code}"] = _close_with(_code)
SCENARIOS["close_without_code"] = _close_with()
SCENARIOS["close_reason"] = _close_with(4001, reason="enough")
# Codes that RFC 6455 allows and daphne refuses.
for _code in (1001, 1008, 1011, 1013):
    SCENARIOS[f"close_{_code}"] = _close_with(_code)


@scenario
async def frames_then_close(scope, receive, send):
    await send(accept())
    await send(text("1"))
    await send({"type": "websocket.send", "bytes": b"2"})
    await send(close(4000))
    await until_disconnect(receive)


# ----------------------------------------------------------------------- wrong

for _code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
    SCENARIOS[f"close_{_code}"] = _close_with(_code)
SCENARIOS["close_code_no_int"] = _close_with("1000")


@scenario
async def send_before_accept(scope, receive, send):
    await send(text())
    await send(accept())
    await until_disconnect(receive)


@scenario
async def double_accept(scope, receive, send):
    await send(accept())
    await send(accept())
    await until_disconnect(receive)


@scenario
async def send_after_close(scope, receive, send):
    await send(accept())
    await send(close(1000))
    await send(text())
    await until_disconnect(receive)


@scenario
async def send_after_refusal(scope, receive, send):
    await send(close(1000))
    await send(text())
    await until_disconnect(receive)


@scenario
async def accept_after_refusal(scope, receive, send):
    await send(close(1000))
    await send(accept())
    await until_disconnect(receive)


@scenario
async def double_close(scope, receive, send):
    await send(accept())
    await send(close(1000))
    await send(close(1000))
    await until_disconnect(receive)


@scenario
async def other_subprotocol(scope, receive, send):
    await send(accept(subprotocol="v9.chat"))
    await until_disconnect(receive)


@scenario
async def neither_text_nor_bytes(scope, receive, send):
    await send(accept())
    await send({"type": "websocket.send", "text": None, "bytes": None})
    await until_disconnect(receive)


@scenario
async def both_text_and_bytes(scope, receive, send):
    await send(accept())
    await send({"type": "websocket.send", "text": "a", "bytes": b"b"})
    await until_disconnect(receive)


@scenario
async def text_no_str(scope, receive, send):
    await send(accept())
    await send({"type": "websocket.send", "text": 7})
    await until_disconnect(receive)


@scenario
async def bytes_no_bytes(scope, receive, send):
    await send(accept())
    await send({"type": "websocket.send", "bytes": "text"})
    await until_disconnect(receive)


@scenario
async def unknown_type(scope, receive, send):
    await send(accept())
    await send({"type": "websocket.nothing"})
    await until_disconnect(receive)


@scenario
async def no_type(scope, receive, send):
    await send({"text": "x"})
    await until_disconnect(receive)


@scenario
async def header_no_bytes(scope, receive, send):
    await send(accept(headers=[("x-answer", "42")]))
    await until_disconnect(receive)


@scenario
async def long_reason(scope, receive, send):
    await send(accept())
    await send(close(4000, reason="x" * 124))
    await until_disconnect(receive)


@scenario
async def crash_in_connect(scope, receive, send):
    raise ValueError("broken")


@scenario
async def crash_after_accept(scope, receive, send):
    await send(accept())
    raise ValueError("broken")


@scenario
async def return_in_connect(scope, receive, send):
    return


@scenario
async def return_after_accept(scope, receive, send):
    await send(accept())


@scenario
async def send_in_disconnect(scope, receive, send):
    await send(accept())
    await until_disconnect(receive)
    await asyncio.sleep(0.3)  # until the server, too, knows that the client is gone
    await send(text("bye"))


FRAMES, SIZE = 300, 65536


@scenario
async def flood(scope, receive, send):
    await send(accept())
    for number in range(FRAMES):
        await send({"type": "websocket.send", "bytes": b"x" * SIZE})
        JOURNAL["flood"]["sent"] = number + 1
    await until_disconnect(receive)


# ---------------------------------------------------------------- the application


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    name = scope["path"].strip("/")
    if name == "journal":
        await receive()
        await send(accept())
        message = await receive()
        await send(text(json.dumps(JOURNAL.get(message["text"]))))
        await until_disconnect(receive)
        return
    if name == "scope":
        await receive()
        await send(accept())
        await send(text(repr(scope)))
        await until_disconnect(receive)
        return
    entry = JOURNAL[name] = {"refused": None, "disconnect": None, "ended": None}

    async def noted_receive():
        message = await receive()
        if message["type"] == "websocket.disconnect":
            entry["disconnect"] = message["code"]
        return message

    async def noted_send(message):
        try:
            await send(message)
        except BaseException as error:
            entry["refused"] = type(error).__name__
            raise

    assert (await receive()) == {"type": "websocket.connect"}
    try:
        await SCENARIOS[name](scope, noted_receive, noted_send)
    except BaseException as error:
        entry["ended"] = type(error).__name__
        raise
    entry["ended"] = "returned"
