"""Observing the in-memory layer of a project that does not use ours: the same account, and no change of behaviour."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer, channel_layers

from ..errors import NotSerialisable
from ..events import EventLog, Location
from .account import Account
from .callsite import call_site
from .consumers import observing, probing
from .layer_records import GroupSend, Sent
from .readers import Copy
from .wire import Wire

#: The group send within which a message is put on a channel.
_within: ContextVar[GroupSend | None] = ContextVar("pytest_backchannel_group_send", default=None)


class _Observed:
    """One in-memory layer, and what is on its channels in this test."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.waiting: list[Copy] = []

    def take(self, message: Any) -> Copy | None:
        for copy in self.waiting:
            if copy.message is message:
                self.waiting.remove(copy)
                return copy
        return None


class LayerObserver:
    """Watches every ``InMemoryChannelLayer`` for one test.

    Args:
        log: the log of the test.
        wire: the round trip of the production layer, or None to leave that unobserved.
    """

    def __init__(self, log: EventLog, wire: Wire | None) -> None:
        self._log = log
        self._wire = wire
        self._layers: WeakKeyDictionary[Any, _Observed] = WeakKeyDictionary()
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch within the block; at its end, what was lost is in the log."""
        self._log.at_end(self.report)
        with self._stack:
            self._stack.enter_context(probing())
            for name, wrap in (
                ("new_channel", self._new_channel),
                ("group_add", self._group_add),
                ("send", self._send),
                ("receive", self._receive),
                ("group_send", self._group_send),
            ):
                self._stack.enter_context(_wrapped(InMemoryChannelLayer, name, wrap))
            yield
        self.report()

    def report(self) -> None:
        """Make problems of what was lost."""
        for observed in self._layers.values():
            observed.account.find_unread(observed.waiting, final=True)
            observed.account.report()

    def _of(self, layer: Any) -> _Observed:
        observed = self._layers.get(layer)
        if observed is None:
            account = Account(self._log, _alias(layer))
            self._stack.enter_context(observing(account))
            observed = self._layers[layer] = _Observed(account)
        return observed

    def _new_channel(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def new_channel(layer: Any, *args: Any, **kwargs: Any) -> Any:
            # A consumer begins: from its first message on, the account knows whose channel this is.
            self._of(layer).account.listens()
            return await original(layer, *args, **kwargs)

        return new_channel

    def _group_add(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def group_add(layer: Any, group: str, channel: str) -> Any:
            result = await original(layer, group, channel)
            self._of(layer).account.joined(group)
            return result

        return group_add

    def _send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def send(layer: Any, channel: str, message: Any) -> Any:
            where = call_site()
            observed = self._of(layer)
            group_send = _within.get()
            event: GroupSend | Sent = group_send or observed.account.sent(channel, message, where)
            if group_send is None:
                self._check(observed, event, message)
            copy = Copy(event, group_send.group if group_send else "", channel, message)
            observed.account.address(copy, listened=False)
            try:
                await original(layer, channel, message)
            except ChannelFull:
                text = f"dropped, for {layer.get_capacity(channel)} messages were waiting that nobody read (capacity)"
                observed.account.lose(copy, "over_capacity", text)
                raise
            copy.message = _newest(layer, channel)
            if copy.message is not None:
                observed.waiting.append(copy)

        return send

    def _receive(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def receive(layer: Any, channel: str) -> Any:
            observed = self._of(layer)
            observed.account.listens()
            message = await original(layer, channel)
            copy = observed.take(message)
            if copy is not None:
                observed.account.handed_over(copy)
            return message

        return receive

    def _group_send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def group_send(layer: Any, group: str, message: Any) -> Any:
            where: Location | None = call_site()
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

        return group_send

    def _check(self, observed: _Observed, event: GroupSend | Sent, message: Any) -> None:
        if self._wire is not None:
            try:
                self._wire.packed(message)
            except NotSerialisable as error:
                observed.account.refused(event, error)


# --- private API: channels.layers.InMemoryChannelLayer.channels and asyncio.Queue._queue, seen on channels 4.2–4.3
# (which reads the latter too): the layer keeps a deep copy, and that identifies the message to its receiver ---


def _newest(layer: Any, channel: str) -> Any:
    """The message that was just put on a channel; None where the layer is built differently."""
    queue = getattr(layer.channels.get(channel), "_queue", None)
    return queue[-1][1] if queue else None


# --- end of private API ---


def _alias(layer: Any) -> str:
    return next((alias for alias, known in channel_layers.backends.items() if known is layer), "")


@contextlib.contextmanager
def _wrapped(owner: type[Any], name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    original = vars(owner)[name]
    ours = wrap(original)
    setattr(owner, name, ours)
    try:
        yield
    finally:
        # Where somebody has patched it meanwhile, theirs is kept: theirs calls ours, which passes everything through.
        if vars(owner)[name] is ours:
            setattr(owner, name, original)
