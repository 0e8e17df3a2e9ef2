"""Observing the in-memory layer of a project that does not use ours: the same account, and no change of behaviour."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import markcoroutinefunction
from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer, channel_layers

from ...active import Replaced, Replacement, Slot
from ...errors import NotSerialisable
from ...events import EventLog, Location, caller, current_log
from ..watch import consumers
from .account import MessageAccount
from .readers import Copy
from .records import GroupSend, Sent
from .round_trip import RoundTrip

#: The group send within which a message is put on a channel.
_within: ContextVar[GroupSend | None] = ContextVar("pytest_backchannel_group_send", default=None)


class _Observed:
    """One in-memory layer, and what is on its channels in this test."""

    def __init__(self, account: MessageAccount, layer: Any) -> None:
        self.account = account
        self.waiting: list[Copy] = []
        # The consumers' channels that earlier tests have left in groups, or with messages. What is sent to them is
        # lost, but the test that sends has not left them: whoever did was told so.
        self.left_over = {channel for channels in layer.groups.values() for channel in channels}
        self.left_over |= {channel for channel in layer.channels if "!" in channel}

    def take(self, message: Any) -> Copy | None:
        for copy in self.waiting:
            if copy.message is message:
                self.waiting.remove(copy)
                return copy
        return None


class LayerObserver:
    """Watches every ``InMemoryChannelLayer`` for one test, from :meth:`start` to :meth:`stop`.

    The probe of consumers and :data:`methods` must be installed. It does nothing more before a layer is used.

    Args:
        round_trip: the round trip of the production layer, or None to leave that unobserved.
    """

    def __init__(self, round_trip: RoundTrip | None) -> None:
        self._round_trip = round_trip
        # Both are there from the first use of a layer on.
        self._log: EventLog | None = None
        self._layers: WeakKeyDictionary[Any, _Observed] | None = None
        self._observers: list[consumers.Observer] = []

    def start(self) -> None:
        """Watch from now on; when the test's body has ended, what was lost is in its log."""
        _watching.value = self

    def stop(self) -> bool:
        """Watch no more; what was lost since the body ended is in the log too.

        Returns:
            Whether it has seen no layer in use, and may be started again for another test.
        """
        if _watching.value is self:
            _watching.value = None
        if self._layers is None:
            return True
        while self._observers:
            consumers.forget(self._observers.pop())
        self.report()
        return False

    def report(self) -> None:
        """Make problems of what was lost."""
        if self._layers is None:
            return
        for layer, observed in self._layers.items():
            observed.account.find_unread(observed.waiting, final=True)
            observed.account.report(functools.partial(_members, layer))

    # ------------------------------------------- what is called in place of the layer's

    async def new_channel(self, original: Callable[..., Any], layer: Any, *args: Any, **kwargs: Any) -> Any:
        """A consumer begins: from its first message on, the account knows whose channel this is."""
        observed = self._of(layer)
        observed.account.listens()
        channel = await original(layer, *args, **kwargs)
        observed.left_over.discard(channel)
        return channel

    async def group_add(self, original: Callable[..., Any], layer: Any, group: str, channel: str) -> Any:
        """A channel joins a group, if its name is valid."""
        observed = self._of(layer)
        result = await original(layer, group, channel)
        observed.left_over.discard(channel)
        observed.account.joined(group, channel)
        return result

    def send(self, original: Callable[..., Any], layer: Any, channel: str, message: Any) -> Any:
        """A message is put on a channel, by the project or by the layer's own ``group_send``."""
        # Asked now: when the coroutine runs, async_to_sync may have left the stack of the project's line.
        where = caller() if _within.get() is None else None
        if _within.get() is None:
            self._of(layer).account.sending("send", channel, message, where)
        return self._send(original, layer, channel, message, where)

    async def _send(
        self, original: Callable[..., Any], layer: Any, channel: str, message: Any, where: Location | None
    ) -> Any:
        observed = self._of(layer)
        group_send = _within.get()
        event: GroupSend | Sent
        if group_send is None:
            event = observed.account.sent(channel, message, where)
            self._check(observed, event, message)
        else:
            event = group_send
        copy = Copy(event, group_send.group if group_send else "", channel, message)
        observed.account.address(copy, listened=False)
        copy.left_over = channel in observed.left_over and not copy.listened
        try:
            result = await original(layer, channel, message)
        except ChannelFull:
            text = f"dropped, for {layer.get_capacity(channel)} messages were waiting that nobody read (capacity)"
            observed.account.lose(copy, "over_capacity", text)
            raise
        copy.message = _newest(layer, channel)
        if copy.message is not None:
            observed.waiting.append(copy)
        return result

    async def receive(self, original: Callable[..., Any], layer: Any, channel: str) -> Any:
        """A message reaches whoever receives."""
        observed = self._of(layer)
        observed.account.listens()
        observed.left_over.discard(channel)
        message = await original(layer, channel)
        copy = observed.take(message)
        if copy is not None:
            observed.account.handed_over(copy)
        return message

    def group_send(self, original: Callable[..., Any], layer: Any, group: str, message: Any) -> Any:
        """A message is sent to a group: the layer then sends it to each member."""
        where = caller()
        self._of(layer).account.sending("group_send", group, message, where)
        return self._group_send(original, layer, group, message, where)

    async def _group_send(
        self, original: Callable[..., Any], layer: Any, group: str, message: Any, where: Location | None
    ) -> Any:
        observed = self._of(layer)
        members = list(layer.groups.get(group, ()))
        occupied = {name: len(channels) for name, channels in layer.groups.items() if channels}
        event = observed.account.group_sent(group, message, members, occupied, where)
        self._check(observed, event, message)
        token = _within.set(event)
        try:
            return await original(layer, group, message)
        finally:
            _within.reset(token)

    # ----------------------------------------------------------------- within

    def _of(self, layer: Any) -> _Observed:
        if self._layers is None or self._log is None:
            self._layers = WeakKeyDictionary()
            self._log = current_log()
            # Before the checks of fixtures, as its setup was before theirs.
            self._log.at_end(self.report, first=True)
        observed = self._layers.get(layer)
        if observed is None:
            account = MessageAccount(self._log, _alias(layer))
            consumers.tell(account)
            self._observers.append(account)
            observed = self._layers[layer] = _Observed(account, layer)
        return observed

    def _check(self, observed: _Observed, event: GroupSend | Sent, message: Any) -> None:
        if self._round_trip is not None:
            try:
                self._round_trip.packed(message)
            except NotSerialisable as error:
                observed.account.refused(event, error)


def _members(layer: Any, group: str) -> set[str]:
    return set(layer.groups.get(group, ()))


def _alias(layer: Any) -> str:
    return next((alias for alias, known in channel_layers.backends.items() if known is layer), "")


# --- private API: channels.layers.InMemoryChannelLayer.channels and asyncio.Queue._queue, seen on channels 4.2–4.3
# (which reads the latter too): the layer keeps a deep copy, and that identifies the message to its receiver ---


def _newest(layer: Any, channel: str) -> Any:
    """The message that was just put on a channel; None where the layer is built differently."""
    queue = getattr(layer.channels.get(channel), "_queue", None)
    return queue[-1][1] if queue else None


# --- end of private API ---

_NAMES = ("new_channel", "group_add", "send", "receive", "group_send")
_watching = Slot[LayerObserver]("observer of the project's layers")


def _wrapper(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapped(layer: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _watching.value
        # A layer that a test has made by itself is what it tests, and carries nothing of the project's.
        known = observer is not None and any(layer is known for known in channel_layers.backends.values())
        if not known or not methods.rules(ours):
            return original(layer, *args, **kwargs)
        return getattr(observer, name)(original, layer, *args, **kwargs)

    ours = markcoroutinefunction(wrapped)
    return ours


#: The methods of the project's layers; they stand around every test of a project that imports Channels.
methods = Replaced(
    "methods of the project's layers",
    lambda: [Replacement(InMemoryChannelLayer, name, functools.partial(_wrapper, name)) for name in _NAMES],
)
