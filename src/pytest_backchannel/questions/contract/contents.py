"""What stands in a contract: plain data, without values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, order=True)
class TaskSend:
    """One kind of message for a task.

    Attributes:
        task: the name of the task.
        args: how many positional arguments it has.
        kwargs: the names of its keyword arguments, sorted.
        queue: the queue that it goes to; empty where that is not known.
        serializer: how it is serialised, such as ``json``; empty where that is not known.
        headers: ``eta`` and ``expires``, where it has them.
        beat: the name of the beat entry that sends it; empty for what code sends.
        run: whether a test has sent it, or else the code says it literally.
    """

    task: str
    args: int = 0
    kwargs: tuple[str, ...] = ()
    queue: str = ""
    serializer: str = ""
    headers: tuple[str, ...] = ()
    beat: str = ""
    run: bool = field(default=False, compare=False)


@dataclass(frozen=True, kw_only=True, order=True)
class LayerSend:
    """One kind of message on a channel layer.

    Attributes:
        type: the ``type`` of the message, such as ``chat.message``.
        keys: its other keys, sorted.
        run: whether a test has sent it, or else the code says it literally.
    """

    type: str
    keys: tuple[str, ...] = ()
    run: bool = field(default=False, compare=False)

    @property
    def handler(self) -> str:
        """The name of the method that it reaches."""
        return self.type.replace(".", "_")


@dataclass(frozen=True, kw_only=True, order=True)
class MessageHandler:
    """A method of a consumer that messages of a channel layer reach.

    Attributes:
        consumer: the dotted name of the consumer's class.
        name: the name of the method.
        needs: the keys of the message without which it fails, sorted.
        asks: the keys for which it asks before that, and may return: what it needs of a message that lacks one of them
            is not known.
    """

    consumer: str
    name: str
    needs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Accepts:
    """What a release understands.

    Attributes:
        tasks: the signature of each task by its name, as code: ``(order_id, *, force=...)``; empty where it is not
            known.
        all_tasks: whether these are all.
        content: the serialisers that its workers accept.
        queues: the queues that its workers consume; None where the project does not say.
        consumers: the groups that each consumer joins, as patterns, by the consumer's dotted name.
        handlers: of messages of a channel layer.
        routes: the paths of the WebSockets.
        all_routes: whether these are all, and the consumers, too.
    """

    tasks: Mapping[str, str] = field(default_factory=dict[str, str])
    all_tasks: bool = True
    content: tuple[str, ...] = ()
    queues: tuple[str, ...] | None = None
    consumers: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    handlers: tuple[MessageHandler, ...] = ()
    routes: tuple[str, ...] = ()
    all_routes: bool = True


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a release sends, and what it accepts.

    Attributes:
        accepts: what it accepts.
        tasks: the messages for tasks, those of beat too.
        messages: those on a channel layer.
    """

    accepts: Accepts = field(default_factory=Accepts)
    tasks: Sequence[TaskSend] = ()
    messages: Sequence[LayerSend] = ()
