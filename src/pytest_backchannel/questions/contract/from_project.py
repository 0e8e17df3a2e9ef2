"""What a project accepts, and what its code and its settings say that it sends: no test is needed for that."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...source import ANYTHING, EnqueueSite, SourceIndex
from .contents import Accepts, LayerSend, MessageHandler, TaskSend
from .handler_keys import keys_of

if TYPE_CHECKING:
    from ...inventory.asgi_inventory import AsgiInventory
    from ...inventory.celery_inventory import BeatEntry, CeleryInventory, KnownTask

# As kombu registers them (kombu 5.5–5.7, serialization.py); a project may register others, by their names.
_BY_CONTENT_TYPE = {
    "application/json": "json",
    "application/data": "pickle",
    "application/x-python-serialize": "pickle",
    "application/x-yaml": "yaml",
    "application/x-msgpack": "msgpack",
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is known of a project.

    Attributes:
        root: its folder.
        index: what its code says.
        celery: what a worker has; None where there is no Celery.
        asgi: what a web process has; None where it can't be said.
        worker_queues: the queues that its workers consume; empty where it does not say.
    """

    root: Path
    index: SourceIndex
    celery: CeleryInventory | None = None
    asgi: AsgiInventory | None = None
    worker_queues: tuple[str, ...] = ()


def serializer_name(given: object) -> str:
    """The name of a serialiser, also where its content type is given.

    Args:
        given: such as ``json`` or ``application/json``; nothing gives the empty text.
    """
    return _BY_CONTENT_TYPE.get(str(given), str(given)) if given else ""


def accepts_of(project: Project) -> Accepts:
    """What the project accepts.

    Args:
        project: what is known of it.
    """
    celery, asgi = project.celery, project.asgi
    settings: Mapping[str, Any] = celery.settings if celery is not None else {}
    return Accepts(
        tasks={task.name: task.signature for task in _tasks(project)},
        all_tasks=celery is not None and not celery.unknown,
        content=tuple(sorted({serializer_name(one) for one in settings.get("accept_content") or ()})),
        queues=_queues(project, settings),
        consumers=_joined(project),
        handlers=tuple(sorted(_handlers(project))),
        routes=tuple(sorted({route.path for route in asgi.routes if route.protocol == "websocket"} if asgi else ())),
        all_routes=asgi is not None and asgi.failure is None and not asgi.unknown,
    )


def _tasks(project: Project) -> Iterator[KnownTask]:
    for task in project.celery.tasks.values() if project.celery is not None else ():
        if not task.name.startswith("celery."):
            yield task


def _queues(project: Project, settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    if project.worker_queues:
        return tuple(sorted(set(project.worker_queues)))
    # A worker that is started without -Q consumes those that are declared.
    if project.celery is not None and settings.get("task_queues"):
        return tuple(sorted(set(project.celery.queues)))
    return None


def _joined(project: Project) -> dict[str, tuple[str, ...]]:
    found = {name: set(consumer.groups) for name, consumer in project.index.consumers.items() if not consumer.abstract}
    for use in project.index.group_uses:
        if use.action == "add" and use.consumer in found:
            found[use.consumer].add(use.group)
    return {name: tuple(sorted(groups)) for name, groups in found.items()}


def _handlers(project: Project) -> Iterator[MessageHandler]:
    read = {name: consumer for name, consumer in project.index.consumers.items() if not consumer.abstract}
    for name, consumer in read.items():
        for handler in consumer.handlers:
            needs, asks = keys_of(project.root / handler.place.path, handler.place.line, handler.name)
            yield MessageHandler(consumer=name, name=handler.name, needs=needs, asks=asks)
    seen: set[str] = set()
    for route in project.asgi.routes if project.asgi is not None else ():
        if route.consumer and route.consumer not in read and route.consumer not in seen:
            seen.add(route.consumer)
            for method in set(route.handlers) - set(route.helpers):
                yield MessageHandler(consumer=route.consumer, name=method)


# ------------------------------------------------------------------------- sends


def tasks_sent(project: Project) -> Iterator[TaskSend]:
    """The messages that beat sends, and those that the code says literally.

    Args:
        project: what is known of it.
    """
    for entry in project.celery.beat.values() if project.celery is not None else ():
        if not entry.task.startswith("celery."):
            yield _of_beat(project, entry)
    for site in project.index.enqueues:
        found = _of_site(site)
        if found is not None:
            yield in_production(found, project)


def _of_beat(project: Project, entry: BeatEntry) -> TaskSend:
    return in_production(
        TaskSend(
            task=entry.task,
            args=entry.positional,
            kwargs=tuple(entry.keywords),
            queue=entry.queue or "",
            serializer=serializer_name(entry.options.get("serializer")),
            headers=("expires",) if entry.expires is not None else (),
            beat=entry.name,
        ),
        project,
    )


def _of_site(site: EnqueueSite) -> TaskSend | None:
    """The message of a place that enqueues; None where the code does not say all of it."""
    given, options = site.arguments, site.arguments.options
    called = site.called or site.around.in_on_commit
    if site.kind != "enqueue" or site.task is None or not called or site.workflow or site.builder:
        return None
    if given.positional is None or given.named is None or site.task.startswith("celery."):
        return None
    try:
        queue, serializer = (ast.literal_eval(options.get(name, "''")) or "" for name in ("queue", "serializer"))
    except (ValueError, SyntaxError):
        return None
    return TaskSend(
        task=site.task,
        args=len(given.positional),
        kwargs=tuple(sorted(given.named)),
        queue=str(queue),
        serializer=serializer_name(serializer),
        headers=tuple(
            header for header, names in _HEADERS.items() if any(options.get(name, "None") != "None" for name in names)
        ),
    )


_HEADERS = {"eta": ("eta", "countdown"), "expires": ("expires",)}


def in_production(one: TaskSend, project: Project) -> TaskSend:
    """A message with what only production's settings say of it: the queue of its route, and the serialiser.

    Args:
        one: the message; what it says itself is kept.
        project: what is known of it.
    """
    celery = project.celery
    task = celery.tasks.get(one.task) if celery is not None else None
    settings: Mapping[str, Any] = celery.settings if celery is not None else {}
    options: Mapping[str, Any] = task.options if task is not None else {}
    serializer = one.serializer or options.get("serializer") or settings.get("task_serializer")
    headers = {*one.headers, *(["expires"] if options.get("expires") else [])}
    return TaskSend(
        task=one.task,
        args=one.args,
        kwargs=one.kwargs,
        queue="" if one.queue == "?" else one.queue or (task.queue if task is not None else None) or "",
        serializer=serializer_name(serializer),
        headers=tuple(sorted(headers)),
        beat=one.beat,
        run=one.run,
    )


def messages_sent(project: Project) -> Iterator[LayerSend]:
    """The messages on a channel layer that the code says literally.

    Args:
        project: what is known of it.
    """
    for use in project.index.group_uses:
        known = use.message_type is not None and ANYTHING not in use.message_type and use.message_keys is not None
        if use.action in ("send", "channel_send") and known:
            keys = tuple(sorted(set(use.message_keys or ()) - {"type"}))
            yield LayerSend(type=str(use.message_type), keys=keys)
