"""Which groups each consumer has joined: whether it did so in time, and whether it has left them at its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from types import FrameType

from ...events import OWN_FOLDER, EventLog, Location, is_project_file
from ..watch import background
from ..watch.consumers import LiveConsumer, Message, Observer, consumer_of, current_consumer, definition
from .catching_up import may_catch_up


@dataclass(eq=False)
class _Join:
    """One consumer that has put its own channel into a group.

    Attributes:
        live: the consumer.
        channel: its channel.
        group: the group.
        where: the line that did it, where the project has one.
        late: whether the client was accepted already, and ``connect()`` still ran.
        frames: how many frames the client had been sent by then.
    """

    live: LiveConsumer
    channel: str
    group: str
    where: Location | None
    late: bool
    frames: int


class Memberships(Observer):
    """The groups of the consumers of one test, on one layer.

    Only a consumer that joins a group by itself is held to leave it: what a view or a test has put it into, that view
    or test may take it out of.

    Args:
        log: the log of the test.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._joins: dict[tuple[str, str], _Join] = {}
        self._late: list[_Join] = []
        # The channels whose consumer has handled the end of its connection.
        self._disconnected: set[str] = set()
        # The connections that send something for what their client sends: such a client may ask for what it missed.
        self._sent_before: dict[LiveConsumer, int] = {}
        self._answering: set[str] = set()

    def joined(self, group: str, channel: str) -> None:
        """A channel has joined a group."""
        live = current_consumer()
        if live is None or live.channel_name != channel or (channel, group) in self._joins:
            return
        opening = live.opening
        accepted = opening is not None and "websocket.accept" in opening.sent and "websocket.close" not in opening.sent
        late = accepted and live.handler == "websocket_connect"
        self._joins[channel, group] = _Join(
            live, channel, group, _joining_line(), late, opening.frames if opening is not None else 0
        )

    # ------------------------------------------------- what the probe observes

    def will_handle(self, consumer: LiveConsumer, message: Message) -> None:
        """Note what the client has been sent before it is answered."""
        if consumer.opening is not None and message.get("type") == "websocket.receive":
            self._sent_before[consumer] = consumer.opening.frames

    def handled(self, consumer: LiveConsumer, message: Message) -> None:
        """``connect()`` has ended, a frame was answered, or the consumer knows that its client is gone."""
        kind, channel = str(message.get("type", "")), consumer.channel_name
        if channel is None or consumer.opening is None:
            return
        if kind == "websocket.connect":
            self._find_late(consumer)
        elif kind == "websocket.receive":
            if consumer.opening.frames > self._sent_before.pop(consumer, consumer.opening.frames):
                self._answering.add(consumer.name)
        elif kind.endswith(".disconnect"):
            self._disconnected.add(channel)

    def sent(self, channel: str) -> None:
        """A message was sent to one channel: a consumer that writes to itself may tell its client later."""
        for join in self._joins.values():
            if join.channel == channel:
                join.late = False

    def _find_late(self, consumer: LiveConsumer) -> None:
        opening = consumer.opening
        # What is sent after the join, now or by a task, may be what the client has missed. Whether it is can't be
        # told from outside, and so there is no verdict.
        if opening is None or "websocket.close" in opening.sent or background.any_running(opening):
            return
        self._late += [
            join
            for join in self._joins.values()
            if join.live is consumer and join.late and join.frames == opening.frames and not _may_catch_up(join)
        ]

    # --------------------------------------------------------------- the verdict

    def report(self, members: Callable[[str], Collection[str]], known: Iterable[tuple[str, str]]) -> None:
        """Make problems of what was joined too late, and of what was not left; nothing is said twice.

        Args:
            members: gives the channels in a group.
            known: the channels and groups of which the test has looked at a loss for that reason.
        """
        late, self._late = [join for join in self._late if join.live.name not in self._answering], []
        for joins in _by_line(late):
            self._tell_late(joins[0])
        known = set(known)
        left = [
            join
            for (channel, group), join in self._joins.items()
            if channel in self._disconnected and self._has_ended(join) and channel in members(group)
        ]
        for join in left:
            del self._joins[join.channel, join.group]
        for joins in _by_line(join for join in left if (join.channel, join.group) not in known):
            self._tell_left(joins)

    def _has_ended(self, join: _Join) -> bool:
        opening = join.live.opening
        # A task that still runs may be about to leave the group.
        return consumer_of(join.channel) is None and (opening is None or not background.any_running(opening))

    def _tell_late(self, join: _Join) -> None:
        consumer = f"{join.live.name} ({join.live.path})"
        self._log.problem(
            "joined_after_accept",
            f"{consumer} accepts its client, and only then joins the group {join.group!r}: a message to the group in "
            "between does not reach the client, which is told nothing after the join.\n"
            "Call group_add() before accept(), or name the group in `groups`; or read what the client has to know, and "
            "send it, after the join.",
            where=join.where,
        )

    def _tell_left(self, joins: list[_Join]) -> None:
        join = joins[0]
        times = f" ({len(joins)} channels)" if len(joins) > 1 else ""
        self._log.problem(
            "left_in_group",
            f"{join.live.name} ({join.live.path}) has ended, and its channel is still in the group {join.group!r}"
            f"{times}: each message to the group is sent to it too, until group_expiry (a day).\n"
            f"Await self.channel_layer.group_discard(…, self.channel_name) in disconnect().",
            where=join.where or definition(getattr(join.live.consumer, "disconnect", None)),
            count=len(joins),
        )


def _may_catch_up(join: _Join) -> bool:
    connect = getattr(join.live.consumer, "connect", None)
    return may_catch_up(connect, join.where.line if join.where is not None else None)


def _by_line(joins: Iterable[_Join]) -> list[list[_Join]]:
    """The joins that one line of one consumer has made, together."""
    found: dict[tuple[str, Location | None], list[_Join]] = {}
    for join in joins:
        found.setdefault((join.live.name, join.where), []).append(join)
    return list(found.values())


def _joining_line() -> Location | None:
    """The project's line that joins; None where Channels does it for ``groups``.

    What lies below the handler of the consumer is not looked at: in a sync test the event loop runs below the test.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(OWN_FOLDER):
        frame = frame.f_back
    while frame is not None and not frame.f_code.co_filename.startswith(OWN_FOLDER):
        if is_project_file(frame.f_code.co_filename):
            return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        frame = frame.f_back
    return None
