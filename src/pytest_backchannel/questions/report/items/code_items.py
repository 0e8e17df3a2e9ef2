"""What only the code says: the places that enqueue a task, and the JSON frames on which a consumer dispatches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..model import NOT_KNOWN, Facet, Item, Note
from ..seen.dispatch_fields import DISPATCH_FIELDS
from .channel_items import consumer_routes
from .done import Done, Known, facet
from .task_items import WAYS, title_of

if TYPE_CHECKING:
    from ....source import EnqueueSite

_KINDS = ("enqueue", "signature")
_LINES_BEFORE = 5
"""How far above what it puts off a call of ``on_commit`` may begin."""


def call_items(known: Known, done: Done) -> Iterator[Item]:
    """The places of the code that enqueue a task of the project, or make a signature of one."""
    if known.index is None or known.celery is None:
        return
    busy = {test for task in known.celery.tasks for test in done.tests(f"task:{task}", "enqueued", *WAYS)}
    for site in known.index.enqueues:
        if site.kind in _KINDS and site.task in known.celery.tasks:
            yield _call_item(site, known, done, busy)


def _call_item(site: EnqueueSite, known: Known, done: Done, busy: set[str]) -> Item:
    assert known.index is not None
    subject = f"task:{site.task}"
    file = str(Path(known.index.root).resolve() / site.place.path)
    lines = range(site.place.line - (0 if site.called else _LINES_BEFORE), site.place.end_line + 1)
    what = "signed_at" if site.kind == "signature" else "enqueued_at"
    details = done.details(subject, what)
    tests = {test for line in lines for test in details.get(f"{file}:{line}", ())}
    if site.kind == "signature":
        tests &= busy  # a signature that nobody applies enqueues nothing
    name, found = facet("enqueued", tests, wanted=True)
    mocked = done.tests(subject, "mocked", "replaced")
    if mocked:
        found = replace(found, notes=(Note(text="mocked away", tests=tuple(sorted(mocked))),))
    if found.is_gap and _is_perhaps(site, subject, done):
        found = replace(found, state=NOT_KNOWN)
    caller = site.place.inside.replace(".<locals>", "") or site.place.module
    return Item(
        key=site.key,
        kind="call",
        title=f"{caller} → {title_of(str(site.task))}",
        where=known.place(file, site.place.line),
        about={"task": site.task, "function": site.place.function, "how": site.method},
        facets={name: found},
    )


def _is_perhaps(site: EnqueueSite, subject: str, done: Done) -> bool:
    """Whether a test may have come by, and it can't be told."""
    at = {test for tests in done.details(subject, "enqueued_at").values() for test in tests}
    # In a worker process, by the code of another task: that tells who enqueues, and not who makes a signature.
    in_worker = done.tests(subject, "real")
    if in_worker and (site.kind == "signature" or in_worker - at):
        return True
    return _is_put_off(site) and bool(done.tests(subject, "enqueued") - at)


def _is_put_off(site: EnqueueSite) -> bool:
    """Whether something else may make the call: in a thread, say, whose stack does not tell who began it."""
    around = site.around
    return not site.called or around.in_on_commit or around.in_lambda or around.in_async


# ------------------------------------------------------------------------ frames


def frame_items(known: Known, done: Done) -> Iterator[Item]:
    """The values of a JSON frame by which the consumers that have a route choose what to do."""
    seen: set[str] = set()
    for route in consumer_routes(known):
        consumer = known.index.consumers.get(route.consumer) if known.index is not None else None
        for dispatch in consumer.dispatches if consumer is not None else ():
            for branch in dispatch.branches:
                if branch.key in seen or not isinstance(branch.value, str):
                    continue
                seen.add(branch.key)
                what = f"{dispatch.field}={branch.value}"
                received = done.details(f"frame:{route.consumer}", "received").get(what, set())
                yield Item(
                    key=branch.key,
                    kind="frame",
                    title=f'{route.consumer.rpartition(".")[2]} {{"{dispatch.field}": "{branch.value}"}}',
                    where=known.place(str(Path(known.index.root).resolve() / dispatch.place.path), branch.line)
                    if known.index is not None
                    else None,
                    about={"consumer": route.consumer, "field": dispatch.field, "value": branch.value},
                    facets=dict([_received(dispatch.field, received)]),
                )


def _received(field: str, tests: set[str]) -> tuple[str, Facet]:
    name, found = facet("received", tests, wanted=True)
    # Of other fields no values are kept.
    return name, found if field in DISPATCH_FIELDS else replace(found, state=NOT_KNOWN)
