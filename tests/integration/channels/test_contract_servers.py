"""The same scenarios in process, on uvicorn and on daphne, with an independent client: they end the same.

Where a server differs, it is listed here and explained in docs/explanation/websocket-contract.md.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import contract_app
import pytest
from contract_clients import Server, in_process

from pytest_backchannel.channels.client.scope import websocket_scope

pytestmark = pytest.mark.celery_integration

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "websocket-contract.md"

PASSES = {"refused": False, "ended": "returned"}
REFUSED_1011 = {"close": 1011, "disconnect": None, "refused": True, "ended": "crashed"}

# What differs from the run in process: server -> scenario -> what is otherwise.
DIFFERENT = {
    "uvicorn": {
        # It does not tell a connection that broke from one that was closed without a code.
        "dropped": {"disconnect": 1005},
        # The server sends what nobody offered; the client ends the connection.
        "other_subprotocol": {**PASSES, "handshake": "NegotiationError", "disconnect": 1005},
        # No frame is sent, and nobody is told.
        "neither_text_nor_bytes": {**PASSES, "close": "open", "disconnect": 1000},
        # The text is lost.
        "both_text_and_bytes": {**PASSES, "close": "open", "disconnect": 1000, "frames": [b"b"]},
    },
    "daphne": {
        # No extension for HTTP responses.
        "http_response": {"handshake": 403},
        # RFC 6455 allows these codes, autobahn refuses them.
        **{f"close_{code}": REFUSED_1011 for code in (1001, 1008, 1011, 1013)},
        "other_subprotocol": {**PASSES, "handshake": "InvalidMessage", "disconnect": 1006},
        "neither_text_nor_bytes": {**PASSES, "close": "open", "disconnect": 1000},
        # Dropped in silence.
        "empty_text": {"frames": []},
        "send_after_refusal": {**PASSES, "disconnect": 1006},
        "accept_after_refusal": {**PASSES, "disconnect": 1006},
        "double_close": {**PASSES, "disconnect": 1000},
        "unknown_type": {**PASSES, "close": "open", "disconnect": 1000},
        "header_no_bytes": {**PASSES, "handshake": 101, "close": "open", "disconnect": 1000},
        "long_reason": {**PASSES, "close": 4000, "disconnect": 4000},
        "send_in_disconnect": PASSES,
        # The connection stays open although nobody serves it.
        "return_in_connect": {"handshake": "InvalidMessage"},
        "return_after_accept": {"close": "open"},
    },
}


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(request, tmp_path_factory):
    server = Server(request.param, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", [name for name in contract_app.SCENARIOS if name != "flood"])
async def test_a_scenario_ends_the_same_as_in_process(server, name):
    expected = await in_process(name)
    if server.kind == "daphne" and expected["close"] == 1006:
        expected["close"] = 1011  # how daphne ends a connection whose application has crashed
    expected |= DIFFERENT[server.kind].get(name, {})
    assert await server.run(name) == expected


@pytest.mark.asyncio
async def test_the_scope_is_what_the_server_builds(server):
    theirs = await server.scope()
    ours = websocket_scope("/scope/", headers={"X-Mixed-Case": "Yes"}, origin="http://here")
    lacking = {"uvicorn": set(), "daphne": {"http_version", "scheme", "state", "extensions"}}[server.kind]
    assert set(theirs) == set(ours) - lacking
    for key in ("type", "path", "raw_path", "root_path", "query_string", "subprotocols"):
        assert theirs[key] == ours[key]
    for key in ("server", "client"):  # daphne has lists
        assert [type(part) for part in theirs[key]] == [type(part) for part in ours[key]]
    assert theirs["asgi"]["version"] == ours["asgi"]["version"]
    if server.kind == "uvicorn":
        for key in ("asgi", "http_version", "scheme", "state", "extensions"):
            assert theirs[key] == ours[key]
    # The client has sent "X-Mixed-Case" and "Origin".
    assert {name for name, _ in theirs["headers"]} <= {name for name, _ in ours["headers"]}
    assert all(isinstance(part, bytes) for pair in theirs["headers"] for part in pair)


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_blocks_the_application_on_uvicorn_only(server):
    async with server.connect("flood", max_size=None):
        await asyncio.sleep(1.5)
        before = (await server.journal_now("flood"))["sent"]
        await asyncio.sleep(0.3)
        sent = (await server.journal_now("flood"))["sent"]
    if server.kind == "uvicorn":
        assert before == sent < contract_app.FRAMES
    else:
        assert sent == contract_app.FRAMES


def test_the_documentation_names_every_difference():
    text = PAGE.read_text(encoding="utf-8")
    missing = {name for server in DIFFERENT.values() for name in server if f"`{name}`" not in text}
    assert not missing
