"""The account of every message of one channel layer in one test: delivered, or lost with a reason.

It is written in the events of the log; what nobody has looked at when the test ends becomes a problem. A test has
looked at a group send that it asserted, and at every loss that it read in ``lost``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ...database.in_transaction.sends import tell_send
from ...events import Event, EventLog, Location
from ..routes import handlers_of
from ..watch.consumers import LiveConsumer, Message, Observer, Opening, consumer_of, handler_name
from .memberships import Memberships
from .readers import Copy
from .records import Delivered, GroupSend, Lost, Sent, short


class MessageAccount(Observer):
    """Who sent what to whom, and what became of it.

    Args:
        log: the log of the test.
        layer: the alias of the layer.

    Attributes:
        group_sends: the messages sent to groups, in order.
    """

    def __init__(self, log: EventLog, layer: str) -> None:
        self._log = log
        self.layer = layer
        self.group_sends: list[GroupSend] = []
        self._lost: list[Lost] = []
        self._looked_at: set[int] = set()
        # The channels and groups of what the test itself has found unread: it knows that they were not left.
        self._seen_unread: set[tuple[str, str]] = set()
        self._joined: set[str] = set()
        self._memberships = Memberships(log)
        # Whether anybody could have received anything in this test. Where nobody could, the test is about the sender
        # alone, and that its messages reach nobody is no news.
        self._received = False
        # What was received and not yet handled, by the identity of the message (which the copy keeps alive; several
        # consumers may share it) and by the channel.
        self._handed: dict[tuple[int, str], Copy] = {}
        self._told: set[Copy] = set()
        # The class of the consumer that has, or had, a channel.
        self._consumers: dict[str, str] = {}
        # By the number of the loss: the connection whose consumer died of it.
        self._died: dict[int, Opening] = {}

    # ------------------------------------------------------------ what happens

    def listens(self) -> None:
        """Somebody has made a channel, or begun to receive."""
        self._received = True

    def joined(self, group: str, channel: str) -> None:
        """A channel has joined a group."""
        self._received = True
        self._joined.add(group)
        self._memberships.joined(group, channel)

    def sending(self, call: str, target: str, message: Any, where: Location | None) -> None:
        """Somebody calls ``send`` or ``group_send``, in the thread that this is called in.

        Args:
            call: the name of the method.
            target: the channel or group.
            message: the message.
            where: the line that calls.
        """
        tell_send(self._log, f"{call}({short(target, width=40)}, {short(message)})", where)

    def group_sent(
        self, group: str, message: Any, members: Sequence[str], occupied: Mapping[str, int], where: Location | None
    ) -> GroupSend:
        """A message was sent to a group; ``occupied`` says how many members each group has that has any."""
        send = self._log.record(
            GroupSend, where=where, group=group, message=message, members=tuple(members), layer=self.layer
        )
        self.group_sends.append(send)
        if not members:
            # A browser may leave at any time, so that a group which has emptied is no problem, though the message is
            # lost; a group in which nobody ever was is probably misspelt.
            known = group in self._joined
            self._lose(
                send,
                "no_members",
                f"everybody has left the group {group!r}" if known else _nobody(group, occupied),
                expected=known or not self._received,
            )
        return send

    def sent(self, channel: str, message: Any, where: Location | None) -> Sent:
        """A message was sent to one channel."""
        self._memberships.sent(channel)
        return self._log.record(Sent, where=where, channel=channel, message=message, layer=self.layer)

    def refused(self, send: GroupSend | Sent, error: Exception) -> None:
        """The production layer can't carry the message."""
        self._lose(send, "not_serialisable", str(error))

    def address(self, copy: Copy, *, listened: bool) -> None:
        """A copy is about to be put on its channel, where a reader waits or not."""
        live = consumer_of(copy.channel)
        copy.listened = listened or live is not None
        copy.consumer = live.name if live is not None else ""

    def lose(self, copy: Copy, reason: str, text: str) -> None:
        """A copy was dropped on its way."""
        nobody = reason == "no_members" and not self._received
        unread = reason == "unread" and copy.listened
        self._lose(copy.send, reason, text, copy=copy, expected=nobody or unread or copy.left_over)

    def flushed(self, copy: Copy) -> None:
        """The test, or the code, has emptied the layer."""
        self._told.add(copy)
        self._lose(copy.send, "unread", "the layer was flushed before it was read", copy=copy, expected=True)

    def handed_over(self, copy: Copy) -> None:
        """``receive()`` returns a copy: to a consumer, which has yet to handle it, or to anybody else."""
        self._handed[id(copy.message), copy.channel] = copy
        if consumer_of(copy.channel) is None:
            self._delivered(copy, None, "")

    # ------------------------------------------------- what the probe observes

    def will_handle(self, consumer: LiveConsumer, message: Message) -> Event | None:
        """Where the message is one of this layer, its delivery is what makes the handler run."""
        self._memberships.will_handle(consumer, message)
        if consumer.channel_name:
            self._consumers[consumer.channel_name] = consumer.name
        copy = self._take(consumer, message)
        if copy is None:
            return None
        name = handler_name(message)
        if name.startswith("_") or not hasattr(consumer.consumer, name):
            self._handed[id(message), copy.channel] = copy
            return copy.event
        return self._delivered(copy, consumer, name)

    def handled(self, consumer: LiveConsumer, message: Message) -> None:
        """It was handled; where no method has its name, by a ``dispatch`` of the consumer's own."""
        self._memberships.handled(consumer, message)
        copy = self._take(consumer, message)
        if copy is not None:
            self._delivered(copy, consumer, "dispatch")

    def crashed(self, consumer: LiveConsumer, message: Message, error: BaseException) -> None:
        """No method has its name, and the consumer died of that, or of something in its own ``dispatch``."""
        copy = self._take(consumer, message)
        if copy is None:
            return
        if _raised_in_channels(error):
            copy.consumer = consumer.name
            lost = self._lose(copy.send, "no_handler", _no_handler(consumer, message, copy), copy=copy)
            if consumer.opening is not None:
                self._died[lost.id] = consumer.opening
        else:
            self._delivered(copy, consumer, "dispatch")

    # --------------------------------------------------------------- the verdict

    @property
    def lost(self) -> list[Lost]:
        """What was lost until now; the test has looked at it from now on."""
        self._seen_unread.update((lost.channel, lost.group) for lost in self._lost if lost.reason == "unread")
        self._looked_at.update(lost.id for lost in self._lost)
        return list(self._lost)

    def look_at(self, sends: Iterable[GroupSend]) -> None:
        """The test has asserted these group sends, so that it knows who was there and who was not."""
        ids = {send.id for send in sends}
        self._looked_at.update(lost.id for lost in self._lost if lost.reason == "no_members" and lost.cause in ids)

    def look_at_crash(self, channel: str) -> None:
        """The test has been raised the crash of a consumer that had no method for a message on this channel."""
        self._looked_at.update(
            lost.id for lost in self._lost if lost.reason == "no_handler" and lost.channel == channel
        )

    def find_unread(self, waiting: Iterable[Copy], *, final: bool) -> None:
        """Enter as lost what waits for a consumer that has ended.

        Args:
            waiting: what is on its channel still.
            final: also enter what waits for anybody, because the test has ended.
        """
        undispatched = [copy for copy in self._handed.values() if copy.event is copy.send]
        for copy in [*waiting, *undispatched]:
            if (
                copy not in self._told
                and consumer_of(copy.channel) is None
                and (final or copy.channel in self._consumers)
            ):
                self._told.add(copy)
                copy.consumer = copy.consumer or self._consumers.get(copy.channel, "")
                expected = copy.listened or copy.left_over or not self._received
                self._lose(copy.send, "unread", _unread(copy), copy=copy, expected=expected)

    def report(self, members: Callable[[str], Collection[str]]) -> None:
        """Make problems of what was lost and not looked at; what was said once is not repeated.

        Args:
            members: gives the channels in a group.

        A crash for want of a handler that the test has seen, as with ``pytest.raises``, is no news to it.
        """
        fresh: dict[tuple[str, Location | None, str, str], list[Lost]] = {}
        for lost in self._lost:
            died = self._died.get(lost.id)
            if lost.id not in self._looked_at and not (died is not None and died.test_saw_crash):
                fresh.setdefault(_told_once(lost), []).append(lost)
        self._looked_at.update(lost.id for lost in self._lost)
        for (reason, where, _, _), losses in fresh.items():
            self._log.problem(reason, _summary(losses), cause=losses[0].id, where=where, count=len(losses))
        self._memberships.report(members, self._seen_unread)

    def _take(self, consumer: LiveConsumer, message: Message) -> Copy | None:
        """What was handed to this consumer, or by its worker under the channel's name."""
        for channel in (consumer.channel_name, consumer.scope.get("channel")):
            copy = self._handed.pop((id(message), channel or ""), None)
            if copy is not None:
                return copy
        return None

    def _delivered(self, copy: Copy, consumer: LiveConsumer | None, handler: str) -> Delivered:
        copy.event = delivered = self._log.record(
            Delivered,
            cause=copy.event.id,
            channel=copy.channel,
            consumer=consumer.name if consumer else "",
            handler=handler,
            message=copy.message,
        )
        return delivered

    def _lose(
        self, send: GroupSend | Sent, reason: str, text: str, *, copy: Copy | None = None, expected: bool = False
    ) -> Lost:
        lost = self._log.record(
            Lost,
            cause=send.id,
            where=send.where,
            reason=reason,
            group=send.group if isinstance(send, GroupSend) else "",
            channel=copy.channel if copy else send.channel if isinstance(send, Sent) else "",
            consumer=copy.consumer if copy else "",
            message=send.message,
            text=text,
        )
        self._lost.append(lost)
        if expected:
            self._looked_at.add(lost.id)
        return lost


def _told_once(lost: Lost) -> tuple[str, Location | None, str, str]:
    """What losses have in common that are one problem.

    A line that sends to nobody is one, whatever group it names: a project that broadcasts from signals has one a row.
    """
    if lost.reason == "no_members" and lost.where is not None:
        return lost.reason, lost.where, "", ""
    return lost.reason, lost.where, lost.consumer, lost.group


def _raised_in_channels(error: BaseException) -> bool:
    """Whether Channels itself raised it, because it found no method for the message."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__") == "channels.consumer"


def _nobody(group: str, occupied: Mapping[str, int]) -> str:
    if not occupied:
        return f"nobody is in the group {group!r}, nor in any other"
    near = difflib.get_close_matches(group, occupied, n=3, cutoff=0.5) or sorted(occupied)[:3]
    named = ", ".join(f"{name!r} ({occupied[name]})" for name in near)
    return f"nobody is in the group {group!r}; groups with members: {named}"


def _no_handler(consumer: LiveConsumer, message: Message, copy: Copy) -> str:
    kind = type(consumer.consumer)
    named = f"{kind.__module__}.{kind.__qualname__}"
    name = handler_name(message)
    if "type" not in message:
        if "type" in copy.send.message:
            return (
                f"{named} died of a message without 'type': a handler of another consumer took it out; "
                "with the core layer of channels-redis, the consumers of one process share the message"
            )
        return f"{named} died of a message without 'type'"
    if name.startswith("_"):
        return f"{named} died of the type {message['type']!r}: it must not begin with an underscore or a dot"
    handlers = list(handlers_of(kind))
    near = difflib.get_close_matches(name, handlers, n=3, cutoff=0.5) or handlers[:3]
    nearest = f"its nearest handlers: {', '.join(near)}" if near else "it has no handlers of its own"
    return f"{named} has no method {name} for {message['type']!r}, and died of it; {nearest}"


def _unread(copy: Copy) -> str:
    if copy.listened:
        return f"{copy.consumer or 'its reader'} ended before it had read it"
    if copy.group:
        who = f"{copy.consumer} has ended, and its channel" if copy.consumer else "nobody listens to a channel that"
        return f"{who} is still in the group {copy.group!r}: a consumer that ends must group_discard its channel"
    return f"nobody has received from the channel {copy.channel!r}"


def _summary(losses: Sequence[Lost]) -> str:
    lost = losses[0]
    call = f"group_send({lost.group!r}, " if lost.group else f"send({short(lost.channel, width=40)}, "
    whom = f" to {lost.consumer}" if lost.consumer else ""
    groups = len({loss.group for loss in losses})
    others = f", to {groups} groups" if groups > 1 else ""
    count = f" ({len(losses)} times{others})" if len(losses) > 1 else ""
    return f"{call}{short(lost.message)}){whom}{count}: {lost.text}"
