"""Who enqueues which task, and what beat enqueues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..reading.file_facts import ClassFacts, FileFacts, FunctionFacts, RawBeat, RawEnqueue
from ..task_facts import BeatEntry, EnqueueSite, TaskDef
from .link_tasks import Tasks, numbered

OTHER_QUEUES = frozenset({"arq", "dispatcherd", "django_rq", "django_tasks", "dramatiq", "huey", "procrastinate", "rq"})
"""Libraries whose decorators make something with a ``delay`` or ``apply_async`` that is not Celery's."""


def enqueue_sites(tasks: Tasks) -> list[EnqueueSite]:
    """Sorted by file and line, each with its key."""
    found = [site for facts in tasks.symbols.all_facts() for site in _of_file(tasks, facts)]
    found.sort(key=lambda site: (site.place.path, site.place.line, site.place.end_line))
    keys = numbered([f"enqueue:{site.place.function}->{_enqueued(site)}" for site in found])
    return [replace(site, key=key) for site, key in zip(found, keys, strict=True)]


def _enqueued(site: EnqueueSite) -> str:
    """What a key says is enqueued; arguments may change, and the place stays the same."""
    if site.kind == "workflow":
        return site.builder or site.applied
    return site.task or site.target


def _of_file(tasks: Tasks, facts: FileFacts) -> Iterator[EnqueueSite]:
    for raw in facts.enqueues:
        task = _task(tasks, facts, raw)
        name = task.name if task is not None else tasks.symbols.constant(raw.name)
        builder = _builder(tasks, raw) if task is None else ""
        if task is None and raw.kind != "workflow" and not builder and not _may_be_a_task(tasks, facts, raw):
            continue
        if raw.kind == "retry" and (task is None or not _retries_itself(raw, task)):
            continue
        yield EnqueueSite(
            key="",
            place=raw.place,
            kind="workflow" if builder else raw.kind,
            method=raw.method,
            target=raw.target,
            task=name,
            resolved=task is not None,
            called=raw.called,
            workflow=raw.workflow,
            applied=raw.applied,
            callback=raw.callback if raw.kind == "signature" else "",
            builder=builder,
            arguments=raw.arguments,
            around=replace(raw.around, in_on_commit=True) if raw.method.endswith("_on_commit") else raw.around,
        )


def _task(tasks: Tasks, facts: FileFacts, raw: RawEnqueue) -> TaskDef | None:
    if raw.name is not None and (name := tasks.symbols.constant(raw.name)) is not None:
        return tasks.by_name.get(name)
    task = tasks.of(raw.dotted)
    if task is None and raw.dotted == "celery.current_task":
        return tasks.by_dotted.get(raw.place.function)
    if task is None and raw.dotted is None and raw.target.isidentifier():
        return _bound(tasks, facts, raw)
    return task


def _bound(tasks: Tasks, facts: FileFacts, raw: RawEnqueue) -> TaskDef | None:
    """``self.retry()`` in a bound task."""
    task = tasks.by_dotted.get(raw.place.function)
    function = facts.functions.get(raw.place.inside)
    first = function.parameters[0].name if function is not None and function.parameters else None
    return task if task is not None and task.bound and raw.target == first else None


def _retries_itself(raw: RawEnqueue, task: TaskDef) -> bool:
    return raw.place.function.startswith(task.dotted)


def _builder(tasks: Tasks, raw: RawEnqueue) -> str:
    """The function of the project that makes the workflow, as in ``send_invoice(7).delay()``."""
    if raw.dotted is None or not raw.dotted.endswith("()") or raw.kind != "enqueue":
        return ""
    dotted = tasks.symbols.follow(raw.dotted.removesuffix("()"))
    thing = tasks.symbols.thing(dotted)
    return dotted if isinstance(thing, FunctionFacts) and thing.builds_signature else ""


def _may_be_a_task(tasks: Tasks, facts: FileFacts, raw: RawEnqueue) -> bool:
    """Whether what was not found in the tree is still worth telling: nothing says that it is something else."""
    if not raw.certain:
        return False
    if raw.name is not None:
        return True
    if raw.dotted is None:
        return raw.target.partition(".")[0] not in ("self", "cls") or "." in raw.target
    thing = tasks.symbols.thing(tasks.symbols.follow(raw.dotted))
    # A class's own delay() is its own affair, an undecorated function has none, and other queues have one, too.
    if isinstance(thing, FunctionFacts):
        made_by = [tasks.symbols.follow(one).partition(".")[0] for one in thing.decorators]
        return bool(made_by) and not OTHER_QUEUES.intersection(made_by)
    return not isinstance(thing, ClassFacts)


def beat_entries(tasks: Tasks) -> list[BeatEntry]:
    """Sorted by file and line, each with its key."""
    found = [(facts, raw) for facts in tasks.symbols.all_facts() for raw in facts.beat]
    found.sort(key=lambda one: (one[1].place.path, one[1].place.line))
    entries = [_entry(tasks, raw) for _, raw in found]
    keys = numbered([f"beat:{entry.name}" for entry in entries])
    # Of several settings modules each may have an entry of one name.
    return [replace(one, key=key.removesuffix("#1")) for one, key in zip(entries, keys, strict=True)]


def _entry(tasks: Tasks, raw: RawBeat) -> BeatEntry:
    name = tasks.symbols.constant(raw.task) if raw.task is not None else None
    task = tasks.by_name.get(name) if name is not None else tasks.of(raw.dotted)
    task_name = task.name if task is not None else name
    return BeatEntry(
        key="",
        name=raw.name or task_name or raw.schedule,
        task=task_name,
        resolved=task is not None,
        schedule=raw.schedule,
        arguments=raw.arguments,
        source=raw.source,
        place=raw.place,
    )
