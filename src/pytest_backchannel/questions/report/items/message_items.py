"""Groups, by the pattern of their names, and the types of messages of a channel layer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..model import NOT_KNOWN, Item, Place
from .channel_items import consumer_routes
from .done import Done, Known, facet, notes_of
from .patterns import is_of_pattern, pattern_of

ANYTHING = "{}"
"""The pattern of the groups whose name only a run knows."""


def group_items(known: Known, done: Done) -> Iterator[Item]:
    """The groups that the code names, and those to which tests have sent."""
    sends = _sends(known)
    named = sorted({*sends, *(known.index.groups() if known.index is not None else ())} - {ANYTHING})
    names: dict[str, list[str]] = {pattern: [] for pattern in named}
    for group in done.subjects("group"):
        names.setdefault(_pattern(group, named, sends), []).append(group)
    unseen = next(done.subjects("layer"), None) is not None
    for pattern, groups in sorted(names.items()):
        sent = {test for group in groups for test in done.tests(f"group:{group}", "sent")}
        delivered = {test for group in groups for test in done.tests(f"group:{group}", "delivered")}
        lost: dict[str, set[str]] = {}
        for group in groups:
            for reason, tests in done.details(f"group:{group}", "lost").items():
                lost.setdefault(reason, set()).update(tests)
        is_sent_to = pattern in sends or bool(sent)
        arrived = facet("delivered", delivered, wanted=is_sent_to)
        if arrived[1].is_gap and unseen:
            arrived = "delivered", replace(arrived[1], state=NOT_KNOWN)
        facets = [
            facet("sent", sent),
            arrived,
            facet("lost", {test for tests in lost.values() for test in tests}, notes=notes_of(lost)),
        ]
        yield Item(
            key=f"group:{pattern}",
            kind="group",
            title=pattern if pattern != ANYTHING else "groups that are named at run time",
            where=sends.get(pattern),
            about={"pattern": pattern},
            facets=dict(facets),
        )


def _sends(known: Known) -> dict[str, Place | None]:
    """The patterns to which the code sends, each with the first place that does."""
    found: dict[str, Place | None] = {}
    for use in known.index.group_uses if known.index is not None else ():
        if use.action == "send":
            found.setdefault(use.group, known.source_place(use.place.path, use.place.line))
    return found


def _pattern(group: str, named: list[str], sends: dict[str, Place | None]) -> str:
    """The pattern of a group: the longest of the code's that fits."""
    fitting = [pattern for pattern in named if is_of_pattern(group, pattern)]
    if fitting:
        return max(fitting, key=len)
    return ANYTHING if ANYTHING in sends else pattern_of(group)


def unseen_layers(done: Done) -> list[str]:
    """Why what became of group sends is not known: a line for each layer of the tests that is not watched."""
    return [
        f"groups: {why}" for alias in done.subjects("layer") for why in sorted(done.details(f"layer:{alias}", "unseen"))
    ]


def message_items(known: Known, done: Done) -> Iterator[Item]:
    """The types of messages that the code sends to groups, or that tests have sent over a layer."""
    handlers: dict[str, set[str]] = {}
    for route in consumer_routes(known):
        for name in route.handlers:
            handlers.setdefault(name, set()).add(f"{route.consumer}.{name}")
    sends: dict[str, Place | None] = {}
    for use in known.index.group_uses if known.index is not None else ():
        if use.action == "send" and use.message_type is not None and ANYTHING not in use.message_type:
            sends.setdefault(use.message_type, known.source_place(use.place.path, use.place.line))
    for kind in sorted({*sends, *done.subjects("message")}):
        takers = sorted(handlers.get(kind.replace(".", "_"), ()))
        # What only a test sends, and nobody takes, is the test's own affair: that a consumer dies of it, say.
        if not re.fullmatch(r"[\w.]+", kind) or not (takers or kind in sends):
            continue
        facets = [
            # Where there is a handler, it is asked for by itself.
            facet("handled", done.tests(f"message:{kind}", "handled"), wanted=kind in sends and not takers),
            facet("sent", done.tests(f"message:{kind}", "sent")),
        ]
        yield Item(
            key=f"message:{kind}",
            kind="message",
            title=kind,
            where=sends.get(kind),
            about={"type": kind, "handlers": takers},
            facets=dict(facets),
        )
