"""Merges the reports of several runs of one project into that of all of their tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ...errors import UnreadableReport
from .gaps import gaps_of
from .model import NOT_KNOWN, OPEN, REACHED, Facet, Item, Note, Report, TestRun, sorted_items

_WORST = ("skipped", "passed", "failed", "error")


def combined(reports: Sequence[Report], baseline: Iterable[str] | None = None) -> Report:
    """The report of all tests of some reports; of shards it is that of the whole run.

    Args:
        reports: at least one; of the same project.
        baseline: the keys of the gaps that are known; None for those that any of the reports says are.

    Raises:
        UnreadableReport: there is none, or they are of different projects.
    """
    if not reports:
        raise UnreadableReport(
            "there is no report to combine: give the files that --backchannel-report=json has written"
        )
    projects = {tuple(sorted(report.project.items())) for report in reports}
    if len(projects) > 1:
        told = "; ".join(", ".join(f"{name} {value!r}" for name, value in project) for project in sorted(projects))
        raise UnreadableReport(f"the reports are of different projects ({told}): combine those of one")
    if baseline is None:
        baseline = {gap.key for report in reports for gap in report.gaps if gap.in_baseline}
    merged: dict[str, Item] = {}
    for report in reports:
        for item in report.items:
            merged[item.key] = _merged(merged[item.key], item) if item.key in merged else item
    items = sorted_items(merged.values())
    return Report(
        project=reports[0].project,
        items=items,
        gaps=gaps_of(items, baseline),
        tests=_tests(reports),
        not_known=list(dict.fromkeys(line for report in reports for line in report.not_known)),
        omitted=max(report.omitted for report in reports),
    )


def _tests(reports: Iterable[Report]) -> list[TestRun]:
    found: dict[str, TestRun] = {}
    for report in reports:
        for test in report.tests:
            before = found.get(test.id)
            if before is None or _WORST.index(test.outcome) > _WORST.index(before.outcome):
                found[test.id] = test
    return sorted(found.values(), key=lambda test: test.id)


def _merged(one: Item, other: Item) -> Item:
    facets = dict(one.facets)
    for name, facet in other.facets.items():
        facets[name] = _facet(facets[name], facet) if name in facets else facet
    return replace(one, about=_about(one.about, other.about), where=one.where or other.where, facets=facets)


def _about(one: Any, other: Any) -> Any:
    """Lists hold what was found in any of them; all else is the same for a project."""
    return {
        **other,
        **{
            name: sorted({*value, *other.get(name, ())}) if name in ("handlers", "routes") else value
            for name, value in one.items()
        },
    }


def _facet(one: Facet, other: Facet) -> Facet:
    tests = tuple(sorted({*one.tests, *other.tests}))
    notes: dict[str, set[str]] = {}
    for note in (*one.notes, *other.notes):
        notes.setdefault(note.text, set()).update(note.tests)
    found = replace(
        one,
        wanted=one.wanted or other.wanted,
        why=one.why or other.why,
        tests=tests,
        notes=tuple(Note(text=text, tests=tuple(sorted(of))) for text, of in sorted(notes.items())),
    )
    # Of mocks one call that can't be made is enough.
    if one.name == "mock_fits":
        return replace(found, tests=() if notes else tests, state=OPEN if notes else REACHED)
    return replace(found, state=REACHED if tests else _state(one, other))


def _state(one: Facet, other: Facet) -> str:
    return NOT_KNOWN if NOT_KNOWN in (one.state, other.state) else OPEN
