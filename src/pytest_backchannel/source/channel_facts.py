"""What the code says of WebSockets: consumers, their routes, groups, and the messages that they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .places import Place, Surroundings

ANYTHING = "{}"
"""A part of a name that only a run can know, as in ``invoice_{}``."""


@dataclass(frozen=True, kw_only=True)
class Handler:
    """A method of a consumer that the messages of one type reach.

    Attributes:
        key: what names it in a baseline, such as ``handler:chat.consumers.ChatConsumer.chat_message``.
        name: the method's name, such as ``chat_message``.
        message_type: the type as Channels' convention has it, with dots: ``chat.message``. A message whose type has
            underscores reaches the same method: compare by :func:`handler_name`.
        place: the file and line of its ``def``.
        is_async: whether it is ``async def``.
        sent: whether some place of the tree sends a message of its type, or has a literal one. Where none does, the
            method may be a helper that only looks like a handler, or be reached from outside of the tree.
    """

    key: str
    name: str
    message_type: str
    place: Place
    is_async: bool
    sent: bool


@dataclass(frozen=True, kw_only=True)
class Branch:
    """What a consumer does with one value of the key on which it dispatches.

    Attributes:
        key: what names it in a baseline, such as ``json:chat.consumers.ChatConsumer.action=leave``.
        value: the literal value.
        line: where it is compared.
        calls: the consumer's own methods that the branch names, in their order.
    """

    key: str
    value: str | int
    line: int
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """A place where a consumer decides by a value of the JSON that a client has sent.

    Attributes:
        consumer: the dotted name of the consumer's class.
        field: the key of the message that is looked at, such as ``type``.
        style: ``if``, ``match``, ``table``, or ``action`` (``@action()`` of djangochannelsrestframework).
        branches: one for each literal value.
        has_default: whether another value is answered by an ``else``, a ``case _`` or a default.
        place: the file and line of the first comparison.
    """

    consumer: str
    field: str
    style: str
    branches: tuple[Branch, ...]
    has_default: bool
    place: Place


@dataclass(frozen=True, kw_only=True)
class ConsumerMethod:
    """A method that a consumer's own class has.

    Attributes:
        line: the line of its ``def``.
        is_async: whether it is ``async def``.
        calls: the methods of ``self`` that it calls, each with its line, in their order: ``("accept", 12)``.
        scope_keys: the keys of ``self.scope`` that it reads, such as ``user``.
    """

    line: int
    is_async: bool
    calls: tuple[tuple[str, int], ...] = ()
    scope_keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConsumerDef:
    """A class that derives from one of Channels' consumers, directly or through other classes.

    Attributes:
        key: what names it in a baseline, ``consumer:`` and its dotted name.
        name: its dotted name, such as ``chat.consumers.ChatConsumer``.
        place: the file and line of its ``class``.
        bases: the dotted names of its bases.
        generic: the dotted name of Channels' own class (or of a library's) from which it comes in the end.
        protocol: ``websocket``, ``http`` or ``channel`` (a worker consumer); empty where the class does not say.
        is_async: whether it is one of the async consumers.
        is_json: whether it is one of the JSON consumers.
        abstract: whether other consumers of the tree derive from it and no route names it.
        methods: the methods of its own class, and of the tree's classes from which it derives, by name.
        handlers: of the messages of a channel layer, inherited ones too.
        dispatches: where it decides by a value of a client's JSON, inherited ones too.
        groups: the literal ``groups = […]`` of the class, as patterns.
    """

    key: str
    name: str
    place: Place
    bases: tuple[str, ...]
    generic: str
    protocol: str
    is_async: bool
    is_json: bool
    abstract: bool = False
    methods: Mapping[str, ConsumerMethod] = field(default_factory=dict[str, ConsumerMethod])
    handlers: tuple[Handler, ...] = ()
    dispatches: tuple[Dispatch, ...] = ()
    groups: tuple[str, ...] = ()

    def handler(self, message_type: str) -> Handler | None:
        """The one that a message of this type would reach, or None.

        Args:
            message_type: such as ``chat.message``.
        """
        name = handler_name(message_type)
        return next((handler for handler in self.handlers if handler.name == name), None)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class GroupUse:
    """A place that joins or leaves a group, sends to one, or sends to a channel.

    Attributes:
        key: what names it in a baseline, such as ``group_send:billing.live.announce->invoice.{}#1``.
        place: the file and line of the call.
        action: ``add``, ``discard``, ``send``, or ``channel_send`` (``channel_layer.send``).
        group: the group's name (for ``channel_send`` the channel's) as a pattern: ``invoice_{}``. ``{}`` alone: the
            code does not say.
        group_source: the same, as it is written; for a call of a wrapper, as it is written there.
        consumer: the dotted name of the class around it, if that is a consumer; else empty.
        message_type: the literal ``type`` of the message as a pattern; None where it is not known.
        message_keys: the keys of the message; None where they are not all literal.
        through: ``async_to_sync`` where it is called through that, ``groups`` for ``self.groups.append(…)``.
        wrapper: for a call of a function of the project that sends the message it is given: the function's dotted name;
            the place is that of the call. Else empty.
        around: what the code around it says.
    """

    key: str
    place: Place
    action: str
    group: str
    group_source: str
    consumer: str = ""
    message_type: str | None = None
    message_keys: tuple[str, ...] | None = None
    through: str = ""
    wrapper: str = ""
    around: Surroundings = field(default_factory=Surroundings)

    @property
    def handler(self) -> str | None:
        """The name of the method that the message is for; None where its type is not known."""
        if self.message_type is None or ANYTHING in self.message_type:
            return None
        return handler_name(self.message_type)


@dataclass(frozen=True, kw_only=True)
class WebSocketRoute:
    """A ``path`` or ``re_path`` whose endpoint is a consumer.

    Attributes:
        key: what names it in a baseline, ``route:``, its pattern and its consumer.
        pattern: the pattern as it is written; ``{}`` for a part that is no literal.
        kind: ``path``, ``re_path``, ``url`` or ``channel`` (of a ``ChannelNameRouter``).
        consumer: the dotted name of the class, or how it is written where it was not found.
        resolved: whether the consumer was found in the tree.
        name: the route's ``name=``, or None.
        middleware: the dotted names of what stands before it, outermost first, where the code has it literally.
        through_router: whether a ``URLRouter`` that names it was found.
        place: the file and line.
    """

    key: str
    pattern: str
    kind: str
    consumer: str
    resolved: bool
    name: str | None = None
    middleware: tuple[str, ...] = ()
    through_router: bool = False
    place: Place

    def __str__(self) -> str:
        return self.pattern


def handler_name(message_type: str) -> str:
    """The name of the method that Channels calls for this type (4.2–4.3, consumer.py: ``get_handler_name``).

    Args:
        message_type: such as ``chat.message``.

    Example:
        >>> handler_name("chat.message")
        'chat_message'
    """
    return message_type.replace(".", "_")
