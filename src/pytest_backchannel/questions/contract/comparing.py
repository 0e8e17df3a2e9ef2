"""Would the messages of one release run on the other?

Only what the change has broken is told: what a release's own workers could not do either is not, nor what nobody of
this project is known to serve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from .contents import Accepts, Contract, LayerSend, TaskSend
from .contract_routes import is_gone
from .signatures import misfit

WAITING, ROLLING = "waiting", "rolling"
"""The directions: messages of the release before on this code, and this code's on the workers of that release."""


@dataclass(frozen=True, kw_only=True)
class Break:
    """Messages that one release sends, and the other can't do anything with.

    Attributes:
        kind: ``task``, ``arguments``, ``serializer``, ``queue``, ``handler``, ``keys`` or ``route``.
        direction: ``waiting`` or ``rolling``.
        subject: the name of the task, the type of the message, or the path of the route.
        beat: the beat entry that sends it; empty for what code sends.
        detail: what it comes down to: why the arguments don't fit, the queue, the consumer's method.
        message: the message as a call, without values.
    """

    kind: str
    direction: str
    subject: str
    beat: str = ""
    detail: str = ""
    message: str = ""


def breaks(release: Contract, code: Contract, directions: Sequence[str] = (WAITING, ROLLING)) -> list[Break]:
    """What one release and this code do not understand of each other.

    Args:
        release: of the release that runs.
        code: of this code.
        directions: which of them to look at.
    """
    found: list[Break] = []
    for direction in directions:
        sender, receiver = (release, code) if direction == WAITING else (code, release)
        found += _of_tasks(sender, receiver, direction)
        found += _of_messages(sender, receiver, direction)
    if WAITING in directions:
        found += _of_routes(release, code)
    return sorted(dict.fromkeys(found), key=attrgetter("direction", "kind", "subject", "beat", "detail", "message"))


def misunderstood(sender: Contract, receiver: Contract) -> tuple[list[TaskSend], list[LayerSend]]:
    """The messages of one that the other can't do anything with.

    Args:
        sender: who sends.
        receiver: who receives.
    """
    return (
        [one for one in sender.tasks if _fault(one, sender, receiver)[0]],
        [one for one in sender.messages if any(_message_faults(one, sender, receiver))],
    )


# ------------------------------------------------------------------------- tasks


def call(one: TaskSend) -> str:
    """A message as a call, without values: ``billing.tasks.send(…, force=…)``."""
    arguments = ["…"] * one.args + [f"{name}=…" for name in one.kwargs]
    return f"{one.task}({', '.join(arguments)})"


def _of_tasks(sender: Contract, receiver: Contract, direction: str) -> Iterator[Break]:
    for one in sender.tasks:
        kind, detail = _fault(one, sender, receiver)
        if kind:
            # Of many messages for a task that is gone, or a queue, one is told.
            message = call(one) if kind == "arguments" else ""
            yield Break(kind=kind, direction=direction, subject=one.task, beat=one.beat, detail=detail, message=message)


def _fault(one: TaskSend, sender: Contract, receiver: Contract) -> tuple[str, str]:
    own, there = sender.accepts, receiver.accepts
    if one.task not in there.tasks:
        # Not registered on either side: another project's workers serve it.
        return ("task", "") if one.task in own.tasks and there.all_tasks else ("", "")
    why = misfit(there.tasks[one.task], one.args, one.kwargs)
    if why is not None and (one.task not in own.tasks or misfit(own.tasks[one.task], one.args, one.kwargs) is None):
        return "arguments", why
    if one.serializer and one.serializer not in there.content and one.serializer in own.content:
        return "serializer", one.serializer
    if one.queue and there.queues is not None and one.queue not in there.queues and not _was_unread(one, own, receiver):
        return "queue", one.queue
    return "", ""


def _was_unread(one: TaskSend, own: Accepts, receiver: Contract) -> bool:
    """Whether the other release sends it to that queue, too: nothing has changed, and others may read it."""
    return any((other.task, other.queue) == (one.task, one.queue) for other in receiver.tasks) and (
        own.queues is None or one.queue not in own.queues
    )


# ---------------------------------------------------------------------- messages


def _of_messages(sender: Contract, receiver: Contract, direction: str) -> Iterator[Break]:
    for one in sender.messages:
        for kind, detail in _message_faults(one, sender, receiver):
            yield Break(kind=kind, direction=direction, subject=one.type, detail=detail)


def _message_faults(one: LayerSend, sender: Contract, receiver: Contract) -> Iterator[tuple[str, str]]:
    before = {handler.consumer: handler for handler in sender.accepts.handlers if handler.name == one.handler}
    there = {handler.consumer: handler for handler in receiver.accepts.handlers if handler.name == one.handler}
    if not before or not receiver.accepts.all_routes:
        return  # nobody of this project takes it, or it is not known who does
    for consumer in before:
        if consumer not in there and (not there or _still_joins(consumer, sender, receiver)):
            yield "handler", f"{consumer}.{one.handler}"
    renamed = not before.keys() & there.keys()
    for consumer, handler in there.items():
        known = before.get(consumer)
        if known is None and not renamed:
            continue
        missing = set(handler.needs) - set(one.keys)
        was_missing = set(known.needs) - set(one.keys) if known is not None else set[str]()
        if missing - was_missing and set(handler.asks) <= set(one.keys):
            yield "keys", f"{consumer}.{handler.name} needs {', '.join(sorted(missing - was_missing))}"


def _still_joins(consumer: str, sender: Contract, receiver: Contract) -> bool:
    groups = set(sender.accepts.consumers.get(consumer, ()))
    return bool(groups) and groups <= set(receiver.accepts.consumers.get(consumer, ()))


# ------------------------------------------------------------------------ routes


def _of_routes(release: Contract, code: Contract) -> Iterator[Break]:
    if code.accepts.all_routes:
        for route in release.accepts.routes:
            if is_gone(route, code.accepts.routes):
                yield Break(kind="route", direction=WAITING, subject=route)
