"""One scenario, in process or on a real server, told in the same words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import contract_app
import websockets.asyncio.client
import websockets.exceptions

from pytest_backchannel import WebSocketClient, errors

OFFERED = {"offered_subprotocol": ["v2.chat", "v1.chat"], "other_subprotocol": ["v2.chat", "v1.chat"]}
CLIENT_CLOSES = {"echo", "accept_with_header", "offered_subprotocol", "send_in_disconnect"}
# Where a server that lets a fault pass leaves the connection open, the client closes it after this long, in seconds.
PATIENCE = 1.6


def plain(seen: dict) -> dict:
    """Without the names of exceptions, which differ: only whether there was one."""
    ended = seen["ended"] if seen["ended"] in ("returned", None) else "crashed"
    return {**seen, "refused": seen["refused"] is not None, "ended": ended}


class Server:
    """uvicorn or daphne in a process of its own, on a free port of the loopback."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = {
            "uvicorn": ["uvicorn", "--port", str(self.port), "--lifespan", "off", "contract_app:application"],
            "daphne": ["daphne", "-b", "127.0.0.1", "-p", str(self.port), "contract_app:application"],
        }[kind]
        self.log = folder / f"{kind}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *options],
                cwd=Path(__file__).parent,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{kind} did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def connect(self, name: str, **options):
        return websockets.asyncio.client.connect(
            f"ws://127.0.0.1:{self.port}/{name}/", compression=None, close_timeout=2, **options
        )

    async def run(self, name: str) -> dict:
        """What the client and the application saw of one scenario."""
        seen = {"handshake": 101, "frames": [], "close": None, "subprotocol": None}
        try:
            async with self.connect(name, subprotocols=OFFERED.get(name)) as ws:
                seen["subprotocol"] = ws.subprotocol
                if name == "echo":
                    await ws.send("hello")
                    seen["frames"].append(await ws.recv())
                if name == "dropped":
                    ws.transport.abort()
                elif name in CLIENT_CLOSES:
                    await ws.close(4000)
                else:
                    try:
                        async with asyncio.timeout(PATIENCE):
                            async for frame in ws:
                                seen["frames"].append(frame)
                    except TimeoutError:
                        seen["close"] = "open"
                    except websockets.exceptions.ConnectionClosed:
                        pass
                    if seen["close"] is None:
                        seen["close"] = int(ws.protocol.close_code)
        except websockets.exceptions.InvalidStatus as error:
            seen["handshake"] = error.response.status_code
        except (websockets.exceptions.InvalidHandshake, websockets.exceptions.InvalidMessage) as error:
            seen["handshake"] = type(error).__name__
        return plain(seen | await self.journal(name))

    async def journal_now(self, name: str) -> dict:
        """What has happened to the application so far."""
        async with self.connect("journal") as ws:
            await ws.send(name)
            return json.loads(await ws.recv())

    async def journal(self, name: str) -> dict:
        """What happened to the application, when it has ended."""
        deadline = time.monotonic() + 4
        while True:
            entry = await self.journal_now(name)
            if (entry and entry["ended"]) or time.monotonic() > deadline:
                return entry
            await asyncio.sleep(0.05)

    async def scope(self) -> dict:
        """The scope that the server builds."""
        async with self.connect("scope", additional_headers={"X-Mixed-Case": "Yes"}, origin="http://here") as ws:
            return eval(await ws.recv())  # what our own application has sent


async def in_process(name: str) -> dict:
    """What the client and the application saw of one scenario, without a server."""
    seen = {"handshake": 101, "frames": [], "close": None, "subprotocol": None}
    client = WebSocketClient(contract_app.application, f"/{name}/", subprotocols=OFFERED.get(name, ()), timeout=1)
    try:
        await client.connect()
    except errors.WebSocketRejected as error:
        seen["handshake"] = error.http_status
    except (ValueError, errors.ContractViolation):
        response = client._connection.response
        seen["handshake"] = response.status if response else 500
    else:
        seen["subprotocol"] = client.subprotocol
        try:
            if name == "echo":
                await client.send_text("hello")
                seen["frames"].append(await client.receive_text())
            if name == "dropped":
                await client.drop()
            elif name in CLIENT_CLOSES:
                await client.close(4000)
            else:
                seen["close"] = (await _read_to_the_end(client, seen["frames"])).code
        except (ValueError, errors.ContractViolation):
            seen["close"] = client._connection.closed.code  # the crash is raised first; this is what a client sees
        except errors.ClientDisconnected:
            pass
        # It may crash after it has closed: then the client has its close code already.
        with contextlib.suppress(ValueError, errors.ContractViolation):
            await client.__aexit__(None, None, None)
    return plain(seen | contract_app.JOURNAL[name])


async def _read_to_the_end(client, frames):
    while True:
        try:
            frames.append(await client.receive_text())
        except errors.UnexpectedFrame:
            frames.append(await client.receive_bytes())
        except errors.WebSocketClosed as closed:
            return closed
