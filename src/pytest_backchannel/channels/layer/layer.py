"""A channel layer in memory that refuses, drops and forgets what the production layer does, and accounts for it all."""

from __future__ import annotations

import asyncio
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, TypeVar

from asgiref.sync import async_to_sync, markcoroutinefunction
from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from ...awaiting import must_await, running_loop
from ...errors import BackchannelError, NotSerialisable
from ...events import EventLog, Location, caller, current_log
from ..worker_consumers import WorkerRun, application_for
from .account import MessageAccount
from .group_sends import find_group_sends
from .kinds.core import CoreSemantics
from .kinds.pubsub import PubSubSemantics
from .kinds.semantics import LayerOptions, LayerSemantics
from .outage import Outage
from .readers import Copy, Reader
from .records import GroupSend, Lost, Sent
from .round_trip import round_trip_of

PATIENCE = 0.1
"""How long a sender lets a reader run before a message counts as over capacity, in seconds of real time."""

KINDS: dict[str, type[CoreSemantics] | type[PubSubSemantics]] = {"core": CoreSemantics, "pubsub": PubSubSemantics}

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])


def _coroutine_function(function: F) -> F:
    """Mark a plain function that returns a coroutine, so that ``async_to_sync`` takes it.

    It is plain because its call site is known only when it is called: when the coroutine runs, ``async_to_sync`` (which
    calls it in the caller's thread, asgiref 3.9–3.13) or ``create_task`` has left the caller's stack.
    """
    marked: F = markcoroutinefunction(function)
    return marked


class StrictLayer(BaseChannelLayer):
    """A Channels layer for one test, with the semantics of a layer of channels-redis.

    It takes what the production layer takes: a message makes the serialiser's round trip (with msgpack, tuples become
    lists, and datetime, Decimal, UUID and set are refused), capacity and expiry count, names are checked, and a group
    forgets its members after ``group_expiry``. Expiry is decided by ``time.time()``, so that a virtual clock moves it.
    It may be used from any thread and event loop of the process.

    Args:
        kind: ``core`` (``channels_redis.core.RedisChannelLayer``) or ``pubsub``
            (``channels_redis.pubsub.RedisPubSubChannelLayer``).
        options: the configuration of that layer; by default that of channels-redis.
        alias: its key in ``CHANNEL_LAYERS``.
        log: where its events go; by default the log of the running test.

    Attributes:
        account: what became of every message.

    Raises:
        BackchannelError: another kind, or a serialiser that can't be had.

    Example::

        layer = StrictLayer("core", LayerOptions(capacity=10))
        channel = await layer.new_channel()
        await layer.group_add("room-7", channel)
        await layer.group_send("room-7", {"type": "room.message", "sizes": (1, 2)})
        assert await layer.receive(channel) == {"type": "room.message", "sizes": [1, 2]}

    Channels 4.2–4.3 (layers.py) and channels-redis 4.2.1–4.3.0 (core.py, pubsub.py).
    """

    extensions = ["groups", "flush"]

    def __init__(
        self,
        kind: str = "core",
        options: LayerOptions | None = None,
        *,
        alias: str = "default",
        log: EventLog | None = None,
    ) -> None:
        if kind not in KINDS:
            raise BackchannelError(
                f"the kind of channel layer is {kind!r}: choose one of {', '.join(map(repr, KINDS))}"
            )
        options = options or LayerOptions()
        super().__init__(expiry=int(options.expiry), capacity=options.capacity)
        self.kind = kind
        self.options = options
        log = log or current_log()
        self.account = MessageAccount(log, alias)
        self._round_trip = round_trip_of(options.serializer_format)
        self._lock = threading.RLock()
        self._semantics: LayerSemantics = KINDS[kind](options, self.account.lose)
        self._stalled: set[str] = set()
        self._outage = Outage(alias, log)

    def __repr__(self) -> str:
        return f"<StrictLayer {self.account.layer!r} ({self.kind})>"

    # ------------------------------------------------------ what a test asks for

    @property
    def group_sends(self) -> list[GroupSend]:
        """The messages sent to groups, in order: ``group``, ``message``, ``members``, ``where``, ``at``."""
        return list(self.account.group_sends)

    @property
    def lost(self) -> list[Lost]:
        """The messages that were lost until now: each with ``reason``, ``group``, ``consumer`` and ``text``.

        One entry for each channel that missed the message; what waits on a channel that nobody has read yet is lost
        only when the test ends. The test has looked at these from now on: they do not fail it at its end.
        """
        with self._lock:
            self.account.find_unread(self._semantics.waiting(), final=False)
        return self.account.lost

    def assert_group_sent(self, group: str, message: Any = None, *, count: int | None = None) -> GroupSend:
        """A message was sent to a group, whether or not anybody was in it.

        Args:
            group: the name of the group.
            message: what ``==`` the message as its receivers get it: a dict, or an object of dirty-equals; None is any.
            count: how often; None is once or more.

        Returns:
            The first such group send.

        Raises:
            GroupSendNotFound: there is none, or another number; the message shows the nearest.
            ValueError: ``count`` is below 1.

        Example::

            channel_layer.assert_group_sent("room-7", {"type": "room.message", "text": "hello"})
            channel_layer.assert_group_sent("room-7", IsPartialDict(type="room.message"), count=2)
        """
        __tracebackhide__ = True
        if count is not None and count < 1:
            raise ValueError(f"count = {count}: give 1 or more; assert_not_group_sent(...) is for none")
        found = find_group_sends(self.account.group_sends, group, message, count)
        self.account.look_at(found)
        return found[0]

    def assert_not_group_sent(self, group: str, message: Any = None) -> None:
        """No such message was sent to a group.

        Args:
            group: the name of the group.
            message: what ``==`` the message; None is any.

        Raises:
            GroupSendNotFound: there is one; the message shows it and its call site.
        """
        __tracebackhide__ = True
        find_group_sends(self.account.group_sends, group, message, 0)

    def members(self, group: str) -> list[str]:
        """The names of the channels in a group, in the order in which they joined.

        Raises:
            TypeError: the name of a group can't be that.
        """
        self._check_group(group)
        with self._lock:
            return self._semantics.members(group)

    def refuse(self, times: int = 1) -> None:
        """Let the next calls of the layer fail: they raise ``redis.exceptions.ConnectionError``, and do nothing.

        It stands for a Redis that can't be reached, as channels-redis lets its caller know of it. Each call of
        ``send``, ``group_send``, ``group_add`` and ``group_discard`` that would reach Redis counts, whoever makes it. A
        consumer that is open already is not disturbed: that its ``receive()`` would fail too is not simulated.

        Args:
            times: how many calls.

        Raises:
            TypeError: ``times`` is no whole number.
            ValueError: it is below 1.
            BackchannelError: redis-py is not installed.
            NotForReal: the layer is a real one: stop its server instead.

        Example::

            channel_layer.refuse()
            client.post("/orders/7/confirm/")  # the order is confirmed, whether or not the page hears of it
            assert Order.objects.get(pk=7).confirmed
        """
        self._outage.refuse(times)

    def run(self, channel: str, application: Any = None, *, timeout: float = 2.0) -> int:
        """Run the worker consumer of a channel until nothing waits for it, as ``manage.py runworker <channel>`` would.

        What waits on the channel goes to the project's application, below the entry ``channel`` of its
        ``ProtocolTypeRouter``, one message after the other, also what is sent there meanwhile. Each call is a worker
        that begins anew, and ends.

        Args:
            channel: its name.
            application: a consumer class or an ASGI application; that of ``ASGI_APPLICATION`` by default.
            timeout: how long one message may take, in seconds of real time.

        Returns:
            How many messages were handled.

        Raises:
            BackchannelError: no worker consumer listens to the channel, or this was called from a coroutine.
            NotIdle: a handler has not ended in time; the message names the line at which it waits.
            Exception: what the consumer raised.

        Example::

            client.post("/orders/7/ship/")
            assert channel_layer.run("label-printer") == 1
        """
        __tracebackhide__ = True
        if running_loop() is not None:
            raise BackchannelError(
                f"channel_layer.run({channel!r}) was called from a coroutine, which it would block. Fix: await "
                f"channel_layer.arun({channel!r})."
            )
        return async_to_sync(self._run)(channel, application, timeout)

    @must_await
    async def arun(self, channel: str, application: Any = None, *, timeout: float = 2.0) -> int:
        """:meth:`run`, from a coroutine."""
        __tracebackhide__ = True
        return await self._run(channel, application, timeout)

    async def _run(self, channel: str, application: Any, timeout: float) -> int:
        __tracebackhide__ = True
        self._check_channel(channel)
        worker = WorkerRun(self, channel, application_for(channel, application), timeout)
        try:
            return await worker.until_idle(lambda: self._waits_on(channel), lambda: self.receive(channel))
        except Exception:
            self.account.look_at_crash(channel)
            raise

    def _waits_on(self, channel: str) -> bool:
        with self._lock:
            return any(copy.channel == channel for copy in self._semantics.waiting())

    def report_losses(self) -> None:
        """Make problems of the test's log of what was lost and not looked at; nothing is said twice."""
        with self._lock:
            self.account.find_unread(self._semantics.waiting(), final=True)
            self.account.report(self._semantics.members)

    # ------------------------------------------------------- what Channels asks for

    @_coroutine_function  # pyright cannot know that what is marked counts as async
    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, channel: str, message: dict[str, Any]
    ) -> Coroutine[Any, Any, None]:
        """Send a message to one channel.

        Raises:
            ChannelFull: as many messages as its capacity wait on it (core).
            NotSerialisable: the production layer can't carry the message.
            TypeError: the name of a channel can't be that (core).
        """
        where = caller()
        self.account.sending("send", channel, message, where)
        return self._send(channel, message, where)

    @_coroutine_function
    def group_send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, group: str, message: dict[str, Any]
    ) -> Coroutine[Any, Any, None]:
        """Send a message to every channel in a group; a channel that is over capacity misses it silently (core).

        Raises:
            NotSerialisable: the production layer can't carry the message.
            TypeError: the name of a group can't be that (core).
        """
        where = caller()
        self.account.sending("group_send", group, message, where)
        return self._group_send(group, message, where)

    async def receive(self, channel: str) -> Any:
        """Wait for the next message on a channel.

        Raises:
            TypeError: the name of a channel can't be that (core).
            AssertionError: the channel belongs to another process (core).
        """
        self._check_channel(channel)
        with self._lock:
            self.account.listens()
            self._stalled.clear()
            reader = Reader(channel)
            self._semantics.start(reader)
        if reader.copy is None:
            try:
                await reader.future
            except BaseException:
                with self._lock:
                    self._semantics.cancel(reader)
                raise
        copy = reader.copy
        assert copy is not None, "a reader is woken only when it was given a copy"
        self.account.handed_over(copy)
        return copy.message

    async def new_channel(self, prefix: str | None = None) -> str:
        """Make a channel that only this process receives from."""
        with self._lock:
            self.account.listens()
            return self._semantics.new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group.

        Raises:
            TypeError: a name can't be that (core).
            RuntimeError: the channel is not one of this event loop (pub/sub).
        """
        self._check_group(group)
        self._check_channel(channel)
        # A pub/sub layer subscribes as the first channel joins, and says no more to Redis as others do.
        if self.kind == "core" or not self._semantics.members(group):
            self._outage.meet("group_add", group)
        with self._lock:
            self._semantics.join(group, channel)
            self.account.joined(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; nothing happens where it is not in it.

        Raises:
            TypeError: a name can't be that (core).
        """
        self._check_group(group)
        self._check_channel(channel)
        if self.kind == "core":
            self._outage.meet("group_discard", group)
        with self._lock:
            last = self._semantics.members(group) == [channel]
            self._semantics.leave(group, channel)
        # A pub/sub layer unsubscribes once the last channel has left, and not before.
        if self.kind == "pubsub" and last:
            self._outage.meet("group_discard", group)

    async def flush(self) -> None:
        """Forget all messages and groups."""
        with self._lock:
            for copy in self._semantics.clear():
                self.account.flushed(copy)

    # ----------------------------------------------------------------- within

    async def _send(self, channel: str, message: Any, where: Location | None) -> None:
        self._check_channel(channel)
        self._check_message(message)
        self._outage.meet("send", channel, where)
        packed = self._pack(message, lambda carried: self.account.sent(channel, carried, where))
        send = self.account.sent(channel, self._round_trip.unpack(packed), where)
        copy = Copy(send, "", channel, self._round_trip.unpack(packed))
        if await self._put([copy]):
            raise ChannelFull(channel)

    async def _group_send(self, group: str, message: Any, where: Location | None) -> None:
        self._check_group(group)
        self._check_message(message)
        self._outage.meet("group_send", group, where)
        with self._lock:
            members = self._semantics.members(group)
            occupied = {} if members else self._semantics.occupied()

        def record(carried: Any) -> GroupSend:
            return self.account.group_sent(group, carried, members, occupied, where)

        packed = self._pack(message, record)
        send = record(self._round_trip.unpack(packed))
        # As on Redis, the consumers of one process share one message: what a handler changes in it, the next one sees.
        messages: dict[str, Any] = {}
        for channel in members:
            messages.setdefault(self._semantics.queue_of(channel), self._round_trip.unpack(packed))
        await self._put(
            [Copy(send, group, channel, messages[self._semantics.queue_of(channel)]) for channel in members]
        )

    def _pack(self, message: Any, record: Callable[[Any], GroupSend | Sent]) -> bytes:
        try:
            return self._round_trip.packed(message)
        except NotSerialisable as error:
            self.account.refused(record(message), error)
            raise

    async def _put(self, copies: Sequence[Copy]) -> list[Copy]:
        await self._make_room([copy.channel for copy in copies])
        with self._lock:
            for copy in copies:
                self.account.address(copy, listened=self._semantics.listened(copy.channel))
            refused = self._semantics.put(copies)
            for copy in refused:
                capacity = self.options.capacity_of(copy.channel)
                self.account.lose(
                    copy, "over_capacity", f"dropped, for {capacity} messages were waiting that nobody read (capacity)"
                )
        # On Redis, sending always lets others run.
        await _turn()
        return refused

    async def _make_room(self, channels: Sequence[str]) -> None:
        """Let readers read before a message counts as over capacity.

        On Redis, sending takes about as long as reading does; here it takes no time at all. A reader that is there
        and reads is therefore given the time; one that does not is given it once.
        """
        deadline = time.perf_counter() + PATIENCE
        while True:
            with self._lock:
                full = {self._semantics.queue_of(channel) for channel in self._semantics.full(channels)}
            if not full - self._stalled:
                return
            if time.perf_counter() > deadline:
                self._stalled |= full
                return
            await _turn(0.0005)

    def _check_channel(self, channel: str) -> None:
        if self._semantics.checks_names:
            _checker(self, "valid_channel_name")(channel)

    def _check_group(self, group: str) -> None:
        if self._semantics.checks_names:
            _checker(self, "valid_group_name")(group)

    def _check_message(self, message: Any) -> None:
        if self._semantics.checks_names:
            assert isinstance(message, dict), f"message is not a dict: {message!r}"
            assert "__asgi_channel__" not in message, "the key '__asgi_channel__' is reserved by channels-redis"


def _checker(layer: BaseChannelLayer, name: str) -> Callable[[str], object]:
    # Later versions deprecate the name that Channels 4.2.0 has, and raise under another one.
    found: Callable[[str], object] = getattr(layer, f"require_{name}", None) or getattr(layer, name)
    return found


@types.coroutine
def _bare_yield() -> Generator[None, None, None]:
    yield


async def _turn(seconds: float = 0) -> None:
    """Let others run. Not by ``asyncio.sleep``, which a virtual clock replaces."""
    if not seconds:
        await _bare_yield()
        return
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    handle = loop.call_later(seconds, future.cancel)
    try:
        await asyncio.wait([future])
    finally:
        handle.cancel()
