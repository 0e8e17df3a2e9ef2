"""Which queue messages go to, and by which route."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from ..celery_inventory import CeleryInventory
from .finding import Finding, Production, in_short, of_celery, own_tasks

NEAR = 0.85
"""How alike two names of tasks are that are taken for one, from 0 to 1."""


def unserved_route(production: Production) -> Iterator[Finding]:
    """Where the project says what its workers consume; a beat entry may name a queue as well."""
    celery = production.celery
    if celery is None:
        return
    said = "backchannel_worker_queues" if production.worker_queues else "task_queues"
    consumed = set(production.worker_queues) or (set(celery.queues) if celery.settings.get("task_queues") else set())
    if not consumed:
        return
    senders: dict[str, list[str]] = {}
    for task in own_tasks(celery):
        if task.queue is not None:
            senders.setdefault(task.queue, []).append(task.name)
    for entry in celery.beat.values():
        if entry.queue is not None:
            senders.setdefault(entry.queue, []).append(f"the beat entry {entry.name!r}")
    for queue, names in senders.items():
        if queue not in consumed:
            yield Finding(
                name="unserved_route",
                text=f"no worker consumes the queue {queue!r} ({said}: {', '.join(sorted(consumed))}), to which go "
                f"{in_short(names)}: the messages wait for ever. Fix: another queue, or a worker that consumes it.",
            )


@of_celery
def route_misspelt(celery: CeleryInventory) -> Iterator[Finding]:
    """A route for a task of another project is none of ours: only a name that is nearly one of ours is told."""
    if celery.unknown:
        return
    free = [task.name for task in own_tasks(celery) if task.name not in celery.routed]
    for name in celery.routed:
        if name not in celery.tasks and (near := _nearest(name, free)):
            yield Finding(
                name="route_misspelt",
                text=f"task_routes has a route for {name!r}, and no worker knows such a task: {near!r}, which has "
                "none, goes with the rest. Fix: correct the name, or take the route out.",
            )


def _nearest(name: str, names: Sequence[str]) -> str | None:
    """The one of the same package that is most like it; None where none is."""
    package, dot, _ = name.partition(".")
    if not dot:
        return None
    alike = {other: _likeness(name, other) for other in names if other.partition(".")[0] == package}
    nearest = max(alike, key=lambda other: alike[other], default=None)
    return nearest if nearest is not None and alike[nearest] >= NEAR else None


def _likeness(one: str, other: str) -> float:
    """Two tasks of one module are two tasks, however alike their names: a letter or two may differ there."""
    ratio = SequenceMatcher(None, one, other).ratio()
    if one.rpartition(".")[0] != other.rpartition(".")[0]:
        return 1.0 if one.rpartition(".")[2] == other.rpartition(".")[2] else ratio
    return SequenceMatcher(None, one.rpartition(".")[2], other.rpartition(".")[2]).ratio()
