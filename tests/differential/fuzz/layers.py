"""Sequences of calls on a channel layer, drawn by Hypothesis, on the strict layer and on channels-redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import time_machine
from channels.exceptions import ChannelFull
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from hypothesis import strategies as st

from pytest_backchannel.channels.layer import layer as layer_module
from pytest_backchannel.channels.layer.kinds.semantics import LayerOptions
from pytest_backchannel.channels.layer.layer import StrictLayer
from pytest_backchannel.events import EventLog

from .runner import Played, compare_plain
from .values import VALUES

KINDS = ("core", "pubsub")
QUIET = 0.15
"""How long nothing must arrive to count as nothing, in seconds."""
STUCK = 10.0
"""How long a call may take, in seconds."""
EXPIRY = 2
AT_ONCE = 12
"""How many sequences are played at once, each on a layer with a prefix of its own."""

# ---------------------------------------------------------------------------- drawing

_GROUPS = st.sampled_from(["room", "room", "lobby", "a.b-c_d"])
_BAD_NAMES = st.sampled_from(["", "any name", "x" * 100, "é", "room!x"])
_CHANNELS = st.sampled_from(["a", "a", "b", "worker"])
# `number keys` is the one known difference of payloads: the strict layer tells the sender (exclusions.py).
_VALUES = st.sampled_from(sorted(set(VALUES) - {"number keys"}))


def _calls(kind: str) -> st.SearchStrategy[list[Any]]:
    message = st.one_of(st.just("none"), st.just("none"), _VALUES)
    calls = [
        st.tuples(st.just("add"), _GROUPS, _CHANNELS),
        st.tuples(st.just("add"), _GROUPS, _CHANNELS),
        st.tuples(st.just("discard"), _GROUPS, _CHANNELS),
        st.tuples(st.just("group_send"), _GROUPS, message),
        st.tuples(st.just("group_send"), _GROUPS, message),
        st.tuples(st.just("send"), _CHANNELS, message),
        st.tuples(st.just("read"), _CHANNELS),
        st.tuples(st.just("drain"), _CHANNELS),
        st.tuples(st.just("listen"), _CHANNELS),
        st.tuples(st.just("give up"), _CHANNELS),
        st.tuples(st.sampled_from(["add", "discard"]), _BAD_NAMES, st.just("a")),
        st.tuples(st.sampled_from(["group_send", "send"]), _BAD_NAMES, st.just("none")),
        st.tuples(st.just("flush")),
        st.tuples(st.just("pause"), st.sampled_from([1.4, 3.4])),
    ]
    return st.one_of(*calls).map(list)


@st.composite
def sequences(draw: Callable[..., Any], kind: str) -> dict[str, Any]:
    """A sequence of calls, and the options of the layer."""
    options: dict[str, Any] = {}
    if kind == "core":
        if draw(st.booleans()):
            options["capacity"] = draw(st.sampled_from(range(1, 4)))
        if draw(st.sampled_from(range(3))) == 2:
            options["expiry"] = EXPIRY
        if draw(st.sampled_from(range(4))) == 3:
            options["group_expiry"] = EXPIRY
        if draw(st.sampled_from(range(5))) == 4:
            options["channel_capacity"] = {"work*": 1}
    if draw(st.sampled_from(range(6))) == 5:
        options["serializer_format"] = "json"
    calls = draw(st.lists(_calls(kind), min_size=1, max_size=10))
    kept, pauses = [], 0
    for call in calls:
        if call[0] == "pause":
            pauses += 1
            if pauses > 2 or not {"expiry", "group_expiry"} & set(options):
                continue
        kept.append(call)
    return {"options": options, "calls": kept}


# ---------------------------------------------------------------------------- playing


class Side:
    """One layer, and what a sequence knows of it."""

    layer: Any

    def __init__(self) -> None:
        # Of this sequence alone: the pub/sub layer puts its prefix before groups and its own channels only.
        self.channels: dict[str, str] = {"worker": f"worker-{uuid.uuid4().hex}"}
        self.listening: dict[str, asyncio.Future[Any]] = {}
        self.number = 0

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        raise NotImplementedError

    async def quiet(self, task: asyncio.Future[Any]) -> None:
        """Wait until a task is done, or nothing more will come."""
        raise NotImplementedError

    async def close(self) -> None:
        """Leave nothing."""
        for task in self.listening.values():
            task.cancel()
        if self.listening:
            await asyncio.wait(self.listening.values())


class Strict(Side):
    """The strict layer; time is virtual."""

    def __init__(self, kind: str, options: dict[str, Any], clock: Any) -> None:
        super().__init__()
        self.layer = StrictLayer(kind, LayerOptions.of(options), log=EventLog())
        self._clock = clock

    async def pause(self, seconds: float) -> None:
        self._clock.shift(seconds)

    async def quiet(self, task: asyncio.Future[Any]) -> None:
        for _ in range(8):
            await asyncio.sleep(0)
        if not task.done():
            self._clock.shift(QUIET)  # as long as the real one waits


class Real(Side):
    """A layer of channels-redis; time is real."""

    def __init__(self, kind: str, options: dict[str, Any], url: str) -> None:
        super().__init__()
        # redis-py 8 gives up after 5 s where nothing is said (channels_redis#422).
        host = {"address": url, "socket_timeout": 60}
        backend = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}[kind]
        self.layer = backend(hosts=[host], prefix=uuid.uuid4().hex, **options)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def quiet(self, task: asyncio.Future[Any]) -> None:
        await asyncio.wait([task], timeout=QUIET)

    async def close(self) -> None:
        await super().close()
        with contextlib.suppress(Exception):
            await self.layer.flush()
        if hasattr(self.layer, "close_pools"):
            await self.layer.close_pools()


async def _play(side: Side, sequence: dict[str, Any]) -> list[Any]:
    for alias in ("a", "b"):
        side.channels[alias] = await side.layer.new_channel()
    seen = []
    for call in sequence["calls"]:
        try:
            seen.append(await asyncio.wait_for(_call(side, *call), STUCK))
        except TimeoutError:
            return [*seen, "stuck"]
    # What is left, wherever somebody could have got it.
    for alias in sorted(side.channels):
        if any(alias in call for call in sequence["calls"]):
            seen.append(await _call(side, "drain", alias))
    return seen


async def _call(side: Side, name: str, *arguments: Any) -> Any:
    layer, channels = side.layer, side.channels
    if name == "add":
        return await _raised(layer.group_add(arguments[0], channels[arguments[1]]))
    if name == "discard":
        return await _raised(layer.group_discard(arguments[0], channels[arguments[1]]))
    if name in ("send", "group_send"):
        side.number += 1
        message = {"type": "x", "n": side.number}
        if arguments[1] != "none":
            message["value"] = VALUES[arguments[1]]
        target = channels.get(arguments[0], arguments[0]) if name == "send" else arguments[0]
        error = await _raised(getattr(layer, name)(target, message))
        # Which exception a value is refused with is the serialiser's own matter.
        return "refused" if error and arguments[1] != "none" and error != "ChannelFull" else error
    if name == "flush":
        return await _raised(layer.flush())
    if name == "pause":
        return await side.pause(arguments[0])
    alias = arguments[0]
    task = side.listening.pop(alias, None)
    if name == "listen":
        side.listening[alias] = task or asyncio.ensure_future(layer.receive(channels[alias]))
        await asyncio.sleep(0 if isinstance(side, Strict) else 0.03)
        return None
    if name == "give up":
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            return _outcome(task) if not task.cancelled() else "given up"
        return None
    found = []
    task = task or asyncio.ensure_future(layer.receive(channels[alias]))
    while True:
        await side.quiet(task)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                return found
        found.append(_outcome(task))
        if name == "read" or task.exception() is not None or len(found) > 20:
            return found
        task = asyncio.ensure_future(layer.receive(channels[alias]))


def _outcome(task: asyncio.Future[Any]) -> Any:
    error = task.exception()
    return "raises" if error is not None else json.loads(json.dumps(task.result(), default=repr))


async def _raised(awaitable: Any) -> str | None:
    try:
        await awaitable
    except ChannelFull:
        return "ChannelFull"
    except Exception as error:
        return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    return None


class LayerPool:
    """Plays sequences on both layers of one kind; what :class:`~fuzz.runner.Pool` is for scenarios of tasks.

    Args:
        kind: ``core`` or ``pubsub``.
        url: the address of a Redis.
    """

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.ignore = ""

    def close(self) -> None:
        """Nothing is kept."""

    def play(self, scenario: dict[str, Any]) -> Played:
        """Play one."""
        return next(self.play_all([scenario]))

    def play_all(self, scenarios: list[dict[str, Any]]) -> Iterator[Played]:
        """Play all of them, several at once, and give each when it is done."""
        for start in range(0, len(scenarios), AT_ONCE):
            part = scenarios[start : start + AT_ONCE]
            for sequence, real in zip(part, asyncio.run(_on_real(self.kind, self.url, part)), strict=True):
                yield compare_plain(sequence, _on_strict(self.kind, sequence), real)


async def _on_real(kind: str, url: str, given: list[dict[str, Any]]) -> list[Any]:
    # channels-redis compares with whole seconds: each sequence begins at the same part of one, as the strict one does.
    now = time.time()
    await asyncio.sleep((math.ceil(now) - now + 0.05) % 1)

    async def one(sequence: dict[str, Any]) -> Any:
        side = Real(kind, sequence["options"], url)
        try:
            return await _play(side, sequence)
        finally:
            await side.close()

    return await asyncio.gather(*map(one, given))


def _on_strict(kind: str, sequence: dict[str, Any]) -> Any:
    async def one(clock: Any) -> Any:
        side = Strict(kind, sequence["options"], clock)
        try:
            return await _play(side, sequence)
        finally:
            await side.close()

    before, layer_module.PATIENCE = layer_module.PATIENCE, 0.01
    try:
        with time_machine.travel(1_800_000_000.05, tick=False) as clock:
            return asyncio.run(one(clock))
    finally:
        layer_module.PATIENCE = before
