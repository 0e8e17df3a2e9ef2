"""What the page shows, made from a report: with the links between items, gaps, tests and the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..model import KINDS, NOT_KNOWN, OPEN, REACHED, Facet, Gap, Item, Report, TestRun
from .excerpts import Excerpt, Excerpts
from .page_links import Link, Names, short
from .shown_words import ABOUT_WORDS, KIND_WORDS, facet_words
from .story_marks import Mark, marks
from .whole_test import whole_test

if TYPE_CHECKING:
    from .shown_audit import ShownAudit

NEAR = 6
"""How many tests are named that come near to a gap."""
_FAR = ("mocked", "mock_fits")
"""A test in which the task is mocked away is none of them."""


@dataclass(frozen=True)
class ShownFacet:
    """One facet, with the tests that did it."""

    words: str
    state: str
    why: str
    tests: Sequence[Link]
    notes: Sequence[tuple[str, Sequence[Link]]]


@dataclass(frozen=True)
class ShownItem:
    """One item; ``others`` are the items that belong to it, such as the places that enqueue a task."""

    id: str
    item: Item
    kind: str
    order: int
    state: str
    reached: int
    wanted: int
    tests: int
    facets: Sequence[ShownFacet]
    about: Sequence[tuple[str, str]]
    others: Sequence[tuple[str, Sequence[Link]]]
    source: Excerpt | None


@dataclass(frozen=True)
class ShownGap:
    """One gap; ``near`` are tests that reach the same item otherwise: the best ones to begin with."""

    id: str
    gap: Gap
    kind: str
    weight: str
    item: Link
    subject: str
    words: str
    code: str
    near: Sequence[Link]
    more: int
    also: Sequence[str]
    source: Excerpt | None


@dataclass(frozen=True)
class ShownTest:
    """One test, with the items that it reached."""

    id: str
    test: TestRun
    name: str
    place: str
    reached: Sequence[tuple[Link, str]]
    source: Excerpt | None
    story: Sequence[Mark]

    @property
    def failed(self) -> bool:
        """Whether it failed, itself or in a fixture."""
        return self.test.outcome in ("failed", "error")


@dataclass(frozen=True)
class Kind:
    """The sum of one kind of items."""

    name: str
    words: str
    items: int
    reached: int
    wanted: int

    @property
    def percent(self) -> float:
        """The share that was reached, 0 to 100."""
        return 100 * self.reached / self.wanted if self.wanted else 0


@dataclass
class Page:
    """All of it."""

    report: Report
    kinds: Sequence[Kind]
    gaps: Sequence[ShownGap]
    known_gaps: Sequence[ShownGap]
    items: Sequence[ShownItem]
    tests: Mapping[str, Sequence[ShownTest]]
    failed: Sequence[ShownTest]
    outcomes: Mapping[str, int]
    excerpts: Excerpts
    audit: ShownAudit | None = None
    project: Sequence[str] = field(default_factory=list[str])


def page_of(report: Report, excerpts: Excerpts) -> Page:
    """What the page of a report shows.

    Args:
        report: what to show.
        excerpts: reads the code.
    """
    if report.audit is None:
        return _page(report, Names(report.items, report.tests), excerpts)
    from .shown_audit import audit_ids, shown_audit  # which most pages have no need of

    names = Names(report.items, report.tests, audit_ids(report.audit))
    return replace(_page(report, names, excerpts), audit=shown_audit(report.audit, names, excerpts))


def _page(report: Report, names: Names, excerpts: Excerpts) -> Page:
    tests = [_test(number, test, names, excerpts) for number, test in enumerate(report.tests)]
    gaps = [_gap(number, gap, report, names, excerpts) for number, gap in enumerate(report.gaps)]
    by_file: dict[str, list[ShownTest]] = {}
    for test in tests:
        by_file.setdefault(test.test.id.partition("::")[0], []).append(test)
    return Page(
        report=report,
        kinds=list(_kinds(report)),
        gaps=[gap for gap in gaps if not gap.gap.in_baseline],
        known_gaps=[gap for gap in gaps if gap.gap.in_baseline],
        items=[_item(item, names, excerpts) for item in report.items],
        tests=by_file,
        failed=[test for test in tests if test.failed],
        outcomes=Counter(test.outcome for test in report.tests),
        excerpts=excerpts,
        project=[value for value in report.project.values() if value],
    )


def _kinds(report: Report) -> Iterable[Kind]:
    for kind in KINDS:
        items = [item for item in report.items if item.kind == kind]
        facets = [facet for item in items for facet in item.facets.values() if facet.wanted]
        known = [facet for facet in facets if facet.state != NOT_KNOWN]
        reached = sum(facet.state == REACHED for facet in known)
        if items:
            yield Kind(kind, KIND_WORDS[kind][1], len(items), reached, len(known))


# ------------------------------------------------------------------------- gaps


def _gap(number: int, gap: Gap, report: Report, names: Names, excerpts: Excerpts) -> ShownGap:
    item = report.item(gap.item)
    near = Counter(test for facet in item.facets.values() if facet.name not in _FAR for test in facet.tests)
    links = names.links(test for test, _ in sorted(near.items(), key=lambda one: (-one[1], one[0])))
    subject, words = item.title, gap.sentence.removeprefix(f"{item.title}: ")
    return ShownGap(
        id=f"g{number}",
        gap=gap,
        kind=KIND_WORDS[item.kind][0],
        weight="much" if gap.rank >= 85 else "some" if gap.rank >= 60 else "little",
        item=names.items[gap.item],
        subject=subject if words != gap.sentence else "",
        words=words,
        code=whole_test(gap.test, item.title, gap.facet),
        near=links[:NEAR],
        more=len(links[NEAR:]),
        also=[facet_words(name) for name in gap.implies],
        source=excerpts.of(gap.where),
    )


# ------------------------------------------------------------------------ items


def _item(item: Item, names: Names, excerpts: Excerpts) -> ShownItem:
    wanted = [facet for facet in item.facets.values() if facet.wanted and facet.state != NOT_KNOWN]
    return ShownItem(
        id=names.items[item.key].to,
        item=item,
        kind=KIND_WORDS[item.kind][0],
        order=KINDS.index(item.kind),
        state=_state(item),
        reached=sum(facet.state == REACHED for facet in wanted),
        wanted=len(wanted),
        tests=len({test for facet in item.facets.values() for test in facet.tests}),
        facets=[_facet(facet, names) for facet in item.facets.values() if _is_shown(facet)],
        about=list(_about(item)),
        others=list(_others(item, names)),
        source=excerpts.of(item.where),
    )


def _state(item: Item) -> str:
    """``open`` where a test is missing, else ``not_known`` where something is; ``seen`` where nothing is wanted."""
    states = {facet.state for facet in item.facets.values() if facet.wanted}
    if OPEN in states:
        return OPEN
    if NOT_KNOWN in states:
        return NOT_KNOWN
    return REACHED if states or any(facet.tests for facet in item.facets.values()) else NOT_KNOWN


def _is_shown(facet: Facet) -> bool:
    return facet.wanted or facet.state == REACHED or bool(facet.notes)


def _facet(facet: Facet, names: Names) -> ShownFacet:
    return ShownFacet(
        words=facet_words(facet.name),
        state=facet.state if facet.wanted else "seen",
        why=facet.why,
        tests=names.links(facet.tests),
        notes=[(note.text, names.links(note.tests)) for note in facet.notes],
    )


def _about(item: Item) -> Iterable[tuple[str, str]]:
    for name, words in ABOUT_WORDS.items():
        value = item.about.get(name)
        if value not in (None, "", [], (), {}) and str(value) != item.title:
            yield words, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {one}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _others(item: Item, names: Names) -> Iterable[tuple[str, Sequence[Link]]]:
    """The items that belong to this one."""
    links = names.items
    if item.kind == "task":
        around = names.of_task.get(str(item.about.get("name")), [])
        yield from _listed("Enqueued by", [links[one.key] for one in around if one.kind == "call"])
        yield from _listed("Due by beat", [links[one.key] for one in around if one.kind == "beat"])
        verdict = names.audited.get(str(item.about.get("name")))
        yield from _listed("Audit", [verdict] if verdict is not None else [])
    if "task" in item.about:
        yield from _listed("Task", [link for link in [links.get(f"task:{item.about['task']}")] if link])
    if "consumer" in item.about:
        around = names.of_consumer.get(str(item.about["consumer"]), [])
        for kind in ("route", "handler", "frame"):
            found = [links[one.key] for one in around if one.kind == kind and one is not item]
            yield from _listed(KIND_WORDS[kind][1], found)
    if item.kind == "message":
        keys = (f"handler:{handler}" for handler in item.about.get("handlers", ()))
        yield from _listed("Handlers", [links[key] for key in keys if key in links])


def _listed(words: str, links: Sequence[Link]) -> Iterable[tuple[str, Sequence[Link]]]:
    if links:
        yield words, links


# ------------------------------------------------------------------------ tests


def _test(number: int, test: TestRun, names: Names, excerpts: Excerpts) -> ShownTest:
    place = excerpts.line_of_test(test.id)
    failed = test.outcome in ("failed", "error")
    return ShownTest(
        id=f"t{number}",
        test=test,
        name=short(test.id),
        place=str(place),
        reached=names.reached.get(test.id, []),
        source=excerpts.of(place) if failed else None,
        story=list(marks(test.story, excerpts)),
    )
