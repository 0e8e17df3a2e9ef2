"""The static index: what a project's code says of its tasks and consumers, without being run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .channel_facts import ConsumerDef, GroupUse, WebSocketRoute, handler_name
from .places import Place, Unread
from .task_facts import BeatEntry, EnqueueSite, TaskDef


@dataclass(frozen=True, kw_only=True)
class SettingDef:
    """A setting of Celery, Channels or mail that a settings module assigns, or ``app.conf`` is given.

    A URL may hold a password: mask what is shown of the value. The password of the mail server is left out.

    Attributes:
        name: as it is written, such as ``CELERY_TASK_ACKS_LATE``; for ``app.conf.x = …`` it is ``conf.x``.
        value: of a literal (a tuple for a list); None where it is none, or is None.
        literal: whether the value is known.
        source: the value as it is written.
        place: the file and line.
    """

    name: str
    value: object
    literal: bool
    source: str
    place: Place


@dataclass(frozen=True, kw_only=True)
class SourceIndex:
    """All of it. What stands in a tuple is sorted by file and line.

    Attributes:
        root: the folder that was read, as it was given.
        files: how many Python files were looked at.
        parsed: how many of them had to be parsed.
        tasks: by Celery name; where two definitions have one name, the first.
        duplicates: the tasks whose name another one has already.
        enqueues: every place that enqueues a task, or makes a signature of one.
        beat: the entries that stand literally in the code.
        consumers: by dotted name.
        group_uses: every join, leave and send.
        routes: to consumers.
        settings: what settings modules say.
        unread: what could not be read.
    """

    root: str
    files: int
    parsed: int
    tasks: Mapping[str, TaskDef] = field(default_factory=dict[str, TaskDef])
    duplicates: tuple[TaskDef, ...] = ()
    enqueues: tuple[EnqueueSite, ...] = ()
    beat: tuple[BeatEntry, ...] = ()
    consumers: Mapping[str, ConsumerDef] = field(default_factory=dict[str, ConsumerDef])
    group_uses: tuple[GroupUse, ...] = ()
    routes: tuple[WebSocketRoute, ...] = ()
    settings: tuple[SettingDef, ...] = ()
    unread: tuple[Unread, ...] = ()

    def enqueues_of(self, task: str) -> list[EnqueueSite]:
        """The places that enqueue one task; its own retries are left out.

        Args:
            task: its Celery name.
        """
        return [site for site in self.enqueues if site.task == task and site.kind != "retry"]

    def groups(self) -> list[str]:
        """The patterns of all groups that are joined or sent to, each once; those that are not known are left out."""
        known = {use.group for use in self.group_uses if use.action != "channel_send" and use.group.strip("{}")}
        known.update(group for consumer in self.consumers.values() for group in consumer.groups)
        return sorted(known)

    def consumers_of(self, message_type: str) -> list[ConsumerDef]:
        """The consumers that have a handler for messages of this type.

        Args:
            message_type: such as ``chat.message``.
        """
        name = handler_name(message_type)
        return [
            consumer
            for consumer in self.consumers.values()
            if any(handler.name == name for handler in consumer.handlers)
        ]

    def unhandled(self) -> list[GroupUse]:
        """The sends to a group whose type is known, and for which no consumer of the tree has a handler.

        Left out are groups that something else than a consumer joins: it may read the layer by itself.
        """
        read_otherwise = {use.group for use in self.group_uses if use.action == "add" and not use.consumer}
        return [
            use
            for use in self.group_uses
            if use.action == "send" and use.message_type and use.handler and use.group not in read_otherwise
            if not self.consumers_of(use.message_type)
        ]
