"""WebSocketClient beside Channels' WebsocketCommunicator, in one run: python benchmarks/websocket.py.

Three things that every consumer's test does: connect, echo and disconnect; find that nothing is sent; find that the
consumer has crashed. The two clients take turns, so that a slow moment of the machine hits both. For the first, where
both work all the time, the CPU time of batches counts, and the best batch of each (noise only ever adds); for the
others the median of the waiting time.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="benchmark",
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer  # noqa: E402
from channels.testing import WebsocketCommunicator  # noqa: E402

from pytest_backchannel import WebSocketClient  # noqa: E402
from pytest_backchannel.channels.watch.consumers import probing  # noqa: E402
from pytest_backchannel.events import begin_log  # noqa: E402

# Connect-echo-disconnect at most this many times the communicator's cost; the others at least this many times faster.
MOST_COST, LEAST_GAIN = 1.2, 100


class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        if content == "crash":
            raise ValueError("broken")
        await self.send_json(content)


class SyncEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json(content)


async def communicator_echo(consumer: type) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/ws/echo/")
    connected, _ = await communicator.connect()
    assert connected
    await communicator.send_json_to({"text": "hello"})
    assert await communicator.receive_json_from() == {"text": "hello"}
    await communicator.disconnect()


async def client_echo(consumer: type) -> None:
    async with WebSocketClient(consumer, "/ws/echo/") as ws:
        await ws.send_json({"text": "hello"})
        assert await ws.receive_json() == {"text": "hello"}


async def cpu(scenario: Callable[[type], Awaitable[None]], consumer: type, times: int = 20) -> float:
    """The CPU time of one run, in seconds, over a batch."""
    start = time.process_time()
    for _ in range(times):
        await scenario(consumer)
    return (time.process_time() - start) / times


async def compare_cost(consumer: type, rounds: int) -> tuple[float, float]:
    """The best batch of each, in seconds."""
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(await cpu(communicator_echo, consumer))
        # As the plugin does it: around each test, a log of its own, and the probe.
        begin_log()
        with probing():
            ours.append(await cpu(client_echo, consumer))
    return min(theirs), min(ours)


async def communicator_nothing(consumer: type) -> float:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/ws/echo/")
    await communicator.connect()
    start = time.perf_counter()
    assert await communicator.receive_nothing()
    seconds = time.perf_counter() - start
    await communicator.disconnect()
    return seconds


async def client_nothing(consumer: type) -> float:
    async with WebSocketClient(consumer, "/ws/echo/") as ws:
        start = time.perf_counter()
        assert await ws.receive_nothing()
        return time.perf_counter() - start


async def communicator_crash(consumer: type) -> float:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/ws/echo/")
    await communicator.connect()
    start = time.perf_counter()
    await communicator.send_json_to("crash")
    try:
        await communicator.receive_json_from()
    except ValueError:
        return time.perf_counter() - start
    raise AssertionError("no crash")


async def client_crash(consumer: type) -> float:
    async with WebSocketClient(consumer, "/ws/echo/") as ws:
        start = time.perf_counter()
        await ws.send_json("crash")
        try:
            await ws.receive_json()
        except ValueError:
            return time.perf_counter() - start
    raise AssertionError("no crash")


async def compare(
    theirs: Callable[[type], Awaitable[float]], ours: Callable[[type], Awaitable[float]], consumer: type, rounds: int
) -> tuple[float, float]:
    """The medians of both, in seconds."""
    for warm_up in (theirs, ours):
        await warm_up(consumer)
    pairs = [(await theirs(consumer), await ours(consumer)) for _ in range(rounds)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def report(title: str, theirs: float, ours: float, verdict: str, met: bool) -> int:
    print(f"{title:36}{theirs * 1000:11.3f} ms{ours * 1000:9.3f} ms    {verdict}{'' if met else '  MISSED'}")
    return 0 if met else 1


async def main() -> int:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    missed = 0
    print(f"{'':36}{'communicator':>14}{'client':>12}")
    for title, consumer in (
        ("connect, echo, disconnect (async)", Echo),
        ("connect, echo, disconnect (sync)", SyncEcho),
    ):
        theirs, ours = await compare_cost(consumer, 40)
        missed += report(title, theirs, ours, f"{ours / theirs:.2f} times its cost", ours / theirs <= MOST_COST)
    for title, slow, fast, rounds in (
        ("nothing is sent", communicator_nothing, client_nothing, 20),
        ("the consumer has crashed", communicator_crash, client_crash, 5),
    ):
        theirs, ours = await compare(slow, fast, Echo, rounds)
        missed += report(title, theirs, ours, f"{theirs / ours:.0f} times faster", theirs / ours >= LEAST_GAIN)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
