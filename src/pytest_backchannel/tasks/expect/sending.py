"""What a producer sends, seen before a serialiser has it: which app gets it, and what it can't carry, or changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import celery
from celery.signals import after_task_publish
from kombu.exceptions import EncodeError

from ...events import Location, caller
from ...masking import masked_data
from ..handlers import Receivers
from ..serialising import unserialisable
from .messages import EnqueuedTask, cut
from .unapplied import Unapplied


@dataclass(frozen=True)
class SentElsewhere:
    """A message that another Celery app has published.

    Attributes:
        name: the task's.
        app: the name of the app that was the current one.
        where: the line that enqueued it.
    """

    name: str
    app: str
    where: Location | None

    def told(self, ours: Any) -> str:
        """What happened, why, and the fix.

        Args:
            ours: the app of the task queue.
        """
        place = f" at {self.where}" if self.where else ""
        own = (
            "celery.contrib.testing's start_worker(), the fixture celery_app, and Celery(...) in a test make theirs the"
        )
        why, fix = (
            f"{own} current one.",
            "make the project's own the current one again, before the test: app.set_current()",
        )
        if self.app == "default":
            why = "That one Celery makes where there is none: the project's own had not been imported by then."
            fix = "import it in the package of the settings (__init__.py: from .celery import app as celery_app)"
        return (
            f"{self.name} was enqueued{place}, and went to another Celery app: {self.app!r} is the current one, and "
            f"this task_queue is that of {ours.main!r}. What another app publishes does not come here. {why}\n"
            f"Fix: {fix}; or Celery(..., set_as_current=False) for the other one."
        )


class Sending:
    """Watches what is published, while a task queue stands; a context manager.

    Args:
        app: the queue's app, whose messages come to it.
        arrived: whether a message with this id has come to the queue.

    Attributes:
        elsewhere: what went to another app, of tasks that this app has too.
        unapplied: the workflows that were built and not applied.
    """

    def __init__(self, app: Any, arrived: Callable[[str], bool]) -> None:
        self._app = app
        self._arrived = arrived
        self.elsewhere: list[SentElsewhere] = []
        self.unapplied = Unapplied()
        self._receivers = Receivers([(after_task_publish, self._published)])
        self._sent: dict[str, tuple[Any, Any]] = {}

    def __enter__(self) -> Sending:
        self.unapplied.__enter__()
        self._receivers.connect()
        return self

    def __exit__(self, *error: object) -> None:
        self.unapplied.__exit__(*error)
        self._receivers.disconnect()

    def _published(self, sender: Any = None, headers: Any = None, **_: Any) -> None:
        task_id = (headers or {}).get("id")
        if not task_id or self._arrived(task_id) or sender not in self._app.tasks:
            return
        self.elsewhere.append(SentElsewhere(str(sender), str(celery.current_app.main), caller()))

    def send(self, send: Callable[..., Any], producer: Any, name: str, message: Any, **options: Any) -> Any:
        """Send a message of the queue's app.

        Args:
            send: sends it.
            producer: as of Celery's ``AMQP.send_task_message``, and so are the others.
            name: the task's.
            message: what is sent, not serialised yet.
            options: of the message.

        Raises:
            EncodeError: it can't be serialised; with a note that says what can't.
        """
        arguments = _arguments(message)
        if arguments is not None and not _is_plain(arguments):
            self._sent[message.headers.get("id")] = arguments
        try:
            return send(producer, name, message, **options)
        except EncodeError as error:
            if arguments is not None:
                serializer = options.get("serializer") or self._app.conf.task_serializer
                said = unserialisable(self._app.tasks.get(name), name, arguments, serializer, error)
                error.add_note(masked_data(said))
            raise

    def changed(self, message: EnqueuedTask) -> str:
        """What the serialiser made of the arguments of a message, where it is something else; empty otherwise."""
        before = self._sent.get(message.id)
        if before is None:
            return ""
        together = enumerate(zip(before[0], message.args, strict=False), 1)
        pairs = [(f"argument {number}", was, now) for number, (was, now) in together]
        pairs += [(key, was, message.kwargs[key]) for key, was in before[1].items() if key in message.kwargs]
        for path, was, now in pairs:
            for place, old, new in _changes(path, was, now):
                return (
                    f"On its way the serialiser ({message.content_type}) has changed {place}: {cut(repr(old), 60)} "
                    f"({type(old).__name__}) became {cut(repr(new), 60)} ({type(new).__name__})."
                )
        return ""


def _arguments(message: Any) -> tuple[Sequence[Any], Mapping[str, Any]] | None:
    """Those of a message of protocol 2, whose body is (args, kwargs, embed)."""
    body = getattr(message, "body", None)
    if not isinstance(body, tuple) or len(body) != 3 or not getattr(message, "headers", None):
        return None
    return body[0], body[1]


# What each serialiser brings back as it was.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def _is_plain(arguments: tuple[Sequence[Any], Mapping[str, Any]]) -> bool:
    args, kwargs = arguments
    return _PLAIN.issuperset(map(type, args)) and (not kwargs or _PLAIN.issuperset(map(type, kwargs.values())))


def _changes(path: str, was: Any, now: Any) -> Iterable[tuple[str, Any, Any]]:
    # A tuple becomes a list in every message, and compares as one.
    if isinstance(was, list | tuple) and isinstance(now, list | tuple) and len(was) == len(now):
        for index, (old, new) in enumerate(zip(was, now, strict=True)):
            yield from _changes(f"{path}[{index}]", old, new)
    elif isinstance(was, Mapping) and isinstance(now, Mapping) and list(was) == list(now):
        for key in was:
            yield from _changes(f"{path}[{key!r}]", was[key], now[key])
    elif type(was) is not type(now) and not (was == now and isinstance(was, type(now))) or _keys_became_text(was, now):
        yield path, was, now


def _keys_became_text(was: Any, now: Any) -> bool:
    if not (isinstance(was, Mapping) and isinstance(now, Mapping)):
        return False
    return set(was) != set(now) and {str(key) for key in was} == {str(key) for key in now}
