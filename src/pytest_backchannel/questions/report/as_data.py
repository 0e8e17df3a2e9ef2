"""The report as plain data, and back: the schema is documented in ``docs/reference/report-json.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import UnreadableReport
from .model import Facet, Gap, Item, Note, Place, Report, Step, TestRun

FORMAT = "pytest-backchannel report"
VERSION = 1


def to_data(report: Report) -> dict[str, Any]:
    """The report as plain data, in the documented schema: ``docs/reference/report-json.md``."""
    numbers = {test.id: number for number, test in enumerate(report.tests)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "project": dict(report.project),
        "summary": {
            "wanted": report.wanted,
            "reached": report.reached,
            "percent": report.percent,
            "gaps": len(report.gaps),
            "new_gaps": sum(not gap.in_baseline for gap in report.gaps),
            "items": len(report.items),
            "omitted": report.omitted,
            "tests": len(report.tests),
            "failed": sum(test.outcome in ("failed", "error") for test in report.tests),
        },
        "not_known": list(report.not_known),
        "gaps": [{**vars(gap), "where": _place_data(gap.where)} for gap in report.gaps],
        "items": [_item_data(item, numbers) for item in report.items],
        "tests": [{**vars(test), "story": [_step_data(step) for step in test.story]} for test in report.tests],
    }


def from_data(data: Any, source: str = "the report") -> Report:
    """The report of what :func:`to_data` has given.

    Args:
        data: as read from the file.
        source: what to call it in the error.

    Raises:
        UnreadableReport: it is something else; the message says what to do.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UnreadableReport(
            f"{source} is no report of pytest-backchannel: give a file written by --backchannel-report=json"
        )
    if data.get("version") != VERSION:
        raise UnreadableReport(
            f"{source} has version {data.get('version')!r} of the report, and this is version {VERSION}: write it anew "
            "with the version of pytest-backchannel that reads it"
        )
    try:
        tests = [_test(test) for test in data["tests"]]
        ids = [test.id for test in tests]
        return Report(
            project=data["project"],
            items=[_item(item, ids) for item in data["items"]],
            gaps=[_gap(gap) for gap in data["gaps"]],
            tests=tests,
            not_known=data["not_known"],
            omitted=data["summary"]["omitted"],
        )
    except (KeyError, TypeError, IndexError) as error:
        raise UnreadableReport(f"{source} is damaged ({type(error).__name__}: {error}): write it anew") from error


# By vars(), and not by asdict(), which copies every value: that takes ten times as long.


def _place_data(place: Place | None) -> dict[str, Any] | None:
    return dict(vars(place)) if place is not None else None


def _step_data(step: Step) -> dict[str, Any]:
    return {**vars(step), "where": _place_data(step.where), "steps": [_step_data(one) for one in step.steps]}


def _item_data(item: Item, numbers: Mapping[str, int]) -> dict[str, Any]:
    return {
        "key": item.key,
        "kind": item.kind,
        "title": item.title,
        "where": _place_data(item.where),
        "about": dict(item.about),
        "facets": [
            {
                "name": facet.name,
                "wanted": facet.wanted,
                "why": facet.why,
                "state": facet.state,
                "tests": [numbers[test] for test in facet.tests],
                "notes": [{"text": note.text, "tests": [numbers[test] for test in note.tests]} for note in facet.notes],
            }
            for facet in item.facets.values()
        ],
    }


def _item(data: Mapping[str, Any], ids: Sequence[str]) -> Item:
    facets = [_facet(facet, ids) for facet in data["facets"]]
    values: dict[str, Any] = {**data, "where": _place(data["where"]), "facets": {one.name: one for one in facets}}
    return Item(**values)


def _facet(data: Mapping[str, Any], ids: Sequence[str]) -> Facet:
    notes = (Note(text=note["text"], tests=_tests(note["tests"], ids)) for note in data["notes"])
    values: dict[str, Any] = {**data, "tests": _tests(data["tests"], ids), "notes": tuple(notes)}
    return Facet(**values)


def _tests(numbers: Iterable[int], ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(ids[number] for number in numbers)


def _place(data: Mapping[str, Any] | None) -> Place | None:
    return Place(**data) if data else None


def _gap(data: Mapping[str, Any]) -> Gap:
    values: dict[str, Any] = {**data, "where": _place(data["where"]), "implies": tuple(data["implies"])}
    return Gap(**values)


def _test(data: Mapping[str, Any]) -> TestRun:
    values: dict[str, Any] = {**data, "story": steps_of(data["story"])}
    return TestRun(**values)


def steps_of(data: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a story, of their data."""
    return tuple(_step(step) for step in data)


def _step(data: Mapping[str, Any]) -> Step:
    values: dict[str, Any] = {**data, "where": _place(data["where"]), "steps": steps_of(data["steps"])}
    return Step(**values)
