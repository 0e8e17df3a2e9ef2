"""Makes the report of what is known of the project and of what the tests did."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from .gaps import gaps_of
from .items.channel_items import handler_items, route_items
from .items.code_items import call_items, frame_items
from .items.done import Done, Known
from .items.message_items import group_items, message_items, unseen_layers
from .items.task_items import beat_items, task_items
from .model import Item, Report, TestRun, sorted_items


def make_report(
    known: Known, done: Done, tests: Iterable[TestRun], *, omit: Sequence[str] = (), baseline: Iterable[str] = ()
) -> Report:
    """The report of a run.

    Args:
        known: what is known of the project.
        done: what the tests did.
        tests: the tests.
        omit: patterns of what is left out: of the keys of items, of their names, or of their files.
        baseline: the keys of the gaps that are known.
    """
    items = sorted_items(
        [
            *task_items(known, done),
            *call_items(known, done),
            *beat_items(known, done),
            *route_items(known, done),
            *handler_items(known, done),
            *frame_items(known, done),
            *group_items(known, done),
            *message_items(known, done),
        ]
    )
    kept = [item for item in items if not is_omitted(item, omit)]
    return Report(
        project={
            "settings": known.settings,
            "celery_app": known.celery.app if known.celery is not None else "",
            "asgi_application": known.asgi.application if known.asgi is not None else "",
        },
        items=kept,
        gaps=gaps_of(kept, baseline),
        tests=sorted(tests, key=lambda test: test.id),
        not_known=[*known.not_known, *unseen_layers(done)],
        omitted=len(items) - len(kept),
        root=str(known.root),
    )


def is_omitted(item: Item, patterns: Iterable[str]) -> bool:
    """Whether a pattern is of an item: by its key, with or without its kind, or by its file."""
    names = [item.key, item.key.partition(":")[2], *([item.where.file] if item.where else [])]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)
