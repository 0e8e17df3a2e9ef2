"""The story of a failed test as data, which goes with its report into the JSON file; and that data as text again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...events import EventLog, Location
from .model import Step
from .story import Told, folded, line_text

MOST_STEPS = 300
"""The longest story, in steps; what broke, and what was revoked, is never left out."""


def story_data(log: EventLog) -> list[dict[str, Any]]:
    """The events of a log as a tree of plain values; empty where nothing happened."""
    if not log.events:
        return []
    told = folded(log.events)
    spare = max(0, MOST_STEPS - sum(one.must_stay for one in told))
    kept: list[Told] = []
    for one in told:
        spare -= not one.must_stay
        if one.must_stay or spare >= 0:
            kept.append(one)
    start = log.events[0].at
    roots: list[dict[str, Any]] = []
    path: list[tuple[int, dict[str, Any]]] = []
    for one in kept:
        step = _step_data(one, start)
        while path and path[-1][0] >= one.depth:
            path.pop()
        (path[-1][1]["steps"] if path else roots).append(step)
        path.append((one.depth, step))
    return roots


def _step_data(told: Told, start: float) -> dict[str, Any]:
    where: Location | None = told.event.where
    file, _, line = str(where).rpartition(":") if where is not None else ("", "", "")
    return {
        "at": round(max(told.event.at - start, 0.0), 3),
        "text": told.text,
        "where": {"file": file.replace("\\", "/"), "line": int(line)} if file else None,
        "broke": told.event.broke,
        "times": told.times,
        "steps": [],
    }


def steps_text(steps: Iterable[Step]) -> str:
    """The story as the report of a failed test has it: a line a step."""
    return "\n".join(_lines(steps, 0))


def _lines(steps: Iterable[Step], depth: int) -> Iterator[str]:
    for step in steps:
        yield line_text(step.at, depth, step.text, broke=step.broke, times=step.times, where=step.where)
        yield from _lines(step.steps, depth + 1)
