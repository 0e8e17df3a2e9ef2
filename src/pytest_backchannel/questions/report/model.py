"""The report of a run as data: items of the project, what was reached of each by which tests, and the gaps.

It is what the JSON file has, what every format is made from, and what ``combine`` merges. Nothing in it depends on
when, where or in which order the tests ran: two runs that did the same have the same report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..audit.output.audit_found import AuditFound

REACHED, OPEN, NOT_KNOWN = "reached", "open", "not_known"
"""The states of a facet: a test did it; none did; it can't be said."""

KINDS = ("task", "call", "beat", "route", "handler", "frame", "group", "message")
"""The kinds of items, in the order in which they are shown."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in the project's code.

    Attributes:
        file: relative to the root of the run, with slashes; absolute where it is outside of that.
        line: from 1 on; 0 where it is not known.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something worth saying of a facet, such as what does not fit in a mocked call.

    Attributes:
        text: one sentence.
        tests: the ids of the tests in which it was seen.
    """

    text: str
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Facet:
    """One thing that can happen to an item.

    Attributes:
        name: such as ``retried``.
        wanted: whether it makes sense to ask for it; one that is not wanted is never a gap.
        why: why it is wanted, in a few words; empty where that goes without saying.
        state: ``reached``, ``open`` or ``not_known``.
        tests: the ids of the tests that did it, in order.
        notes: what else is to be said.
    """

    name: str
    wanted: bool = False
    why: str = ""
    state: str = OPEN
    tests: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def is_gap(self) -> bool:
        """Whether a test is missing for it."""
        return self.wanted and self.state == OPEN


@dataclass(frozen=True, kw_only=True)
class Item:
    """One part of the project: a task, a place that enqueues one, a route, a handler, a group or the like.

    Attributes:
        key: what it is known by in baselines and omit patterns, such as ``task:billing.tasks.send_invoice_email``; no
            line number is in it.
        kind: one of ``KINDS``.
        title: how people write it.
        where: its place in the code; None where that is not known.
        about: what else is known of it, as plain data; the keys depend on the kind.
        facets: what can happen to it, by name.
    """

    key: str
    kind: str
    title: str
    where: Place | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    facets: Mapping[str, Facet] = field(default_factory=dict)

    def reached(self, *names: str) -> bool:
        """Whether a test did one of these."""
        return any(name in self.facets and self.facets[name].state == REACHED for name in names)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A facet that is wanted and that no test has reached.

    Attributes:
        key: that of the item, ``#``, and the name of the facet.
        item: the key of the item.
        facet: the name of the facet.
        rank: how much it may hurt, 0 to 100.
        sentence: the gap in words: ``send_invoice_email: never retried``.
        hurts: what may be wrong without anybody noticing, in one sentence.
        test: the test to write, as code that can be pasted; empty where none can be given.
        where: the place in the code; None where that is not known.
        implies: the other facets of the item that are open with it, and are not told by themselves.
        in_baseline: whether the baseline has it.
    """

    key: str
    item: str
    facet: str
    rank: int
    sentence: str
    hurts: str = ""
    test: str = ""
    where: Place | None = None
    implies: tuple[str, ...] = ()
    in_baseline: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the story of a test, and what it caused.

    Attributes:
        at: seconds since its first event; virtual where a virtual clock ruled.
        text: what happened.
        where: the line of the project that did it; None where none is known.
        broke: whether the chain of events broke here.
        times: how often it happened, one after the other and with the same consequences.
        steps: what it caused.
    """

    at: float
    text: str
    where: Place | None = None
    broke: bool = False
    times: int = 1
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TestRun:
    """One test.

    Attributes:
        id: pytest's node id.
        outcome: ``passed``, ``failed``, ``error`` (in a fixture) or ``skipped``.
        message: the first line of why it failed.
        story: what happened behind the request; of a failed test only.
    """

    __test__ = False

    id: str
    outcome: str
    message: str = ""
    story: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it.

    Attributes:
        project: what it is about: ``settings``, ``celery_app``, ``asgi_application``.
        items: by kind, then by key.
        gaps: those that would hurt most first.
        tests: by their ids.
        not_known: why something may be missing here, each in one line; empty where all is known.
        omitted: how many items ``backchannel_report_omit`` has left out.
        root: the folder that places are relative to, where the code is at hand; it goes into no file, and is no part of
            what the report says.
        audit: what the audit of the same run has found, where there was one: a page shows it beside the report. It is
            no part of that either.
    """

    project: Mapping[str, str]
    items: Sequence[Item]
    gaps: Sequence[Gap]
    tests: Sequence[TestRun]
    not_known: Sequence[str] = ()
    omitted: int = 0
    root: str = field(default="", compare=False, repr=False)
    audit: AuditFound | None = field(default=None, compare=False, repr=False)

    @property
    def wanted(self) -> int:
        """How many facets are wanted and known."""
        return sum(facet.wanted and facet.state != NOT_KNOWN for item in self.items for facet in item.facets.values())

    @property
    def reached(self) -> int:
        """How many of these were reached."""
        return sum(facet.wanted and facet.state == REACHED for item in self.items for facet in item.facets.values())

    @property
    def percent(self) -> float:
        """The share of what is wanted that was reached, 0 to 100; rounded down to a tenth: 100 is all of it."""
        return 100.0 if not self.wanted else self.reached * 1000 // self.wanted / 10

    def open_keys(self) -> set[str]:
        """The keys of all facets that are gaps, those that another gap implies included."""
        return {f"{item.key}#{facet.name}" for item in self.items for facet in item.facets.values() if facet.is_gap}

    def item(self, key: str) -> Item:
        """One item.

        Raises:
            KeyError: there is none of this key.
        """
        return self._by_key[key]

    @cached_property
    def _by_key(self) -> dict[str, Item]:
        return {item.key: item for item in self.items}


def sorted_items(items: Iterable[Item]) -> list[Item]:
    """In the order in which a report has them."""
    return sorted(items, key=lambda item: (KINDS.index(item.kind), item.key))
