"""Excerpts of the project's code, which the page has with it: it may be read where the code is not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model import Place, Report

AROUND = 4
"""How many lines are shown before a line, and after it."""
LONGEST = 300
"""How much of a line is shown, in characters: what is generated may have lines without end."""
MOST_TRIED = 20
"""How many files are looked for in each folder."""


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a file.

    Attributes:
        id: of its element in the page.
        place: what it is about.
        lines: each with its number.
    """

    id: str
    place: Place
    lines: Sequence[tuple[int, str]]


class Excerpts:
    """Those of one page; each place is there once.

    Args:
        root: what the places are relative to.
        start: the current folder, to which the lines of events are relative.
    """

    def __init__(self, root: Path, start: Path | None = None) -> None:
        self._root = root
        self._start = start or root
        self._files: dict[str, list[str]] = {}
        self._found: dict[Place, Excerpt | None] = {}

    def __iter__(self) -> Iterator[Excerpt]:
        """In the order of their files and lines."""
        found = (excerpt for excerpt in self._found.values() if excerpt is not None)
        return iter(sorted(found, key=lambda excerpt: (excerpt.place.file, excerpt.place.line)))

    def of(self, place: Place | None) -> Excerpt | None:
        """The excerpt around a place; None where it can't be read."""
        if place is None or not place.line:
            return None
        if place not in self._found:
            self._found[place] = self._excerpt(place, f"s{len(self._found)}")
        return self._found[place]

    def at(self, where: str) -> Excerpt | None:
        """The excerpt around the line of an event, as ``file:line``; None where it is none, or can't be read."""
        file, _, line = where.rpartition(":")
        if not file or not line.isdecimal():
            return None
        try:
            relative = os.path.relpath(self._start / file, self._root)
        except ValueError:  # another drive
            return None
        return self.of(Place(file=Path(relative).as_posix(), line=int(line)))

    def line_of_test(self, test: str) -> Place:
        """Where a test stands, by its node id; its line is 0 where it is not found."""
        file, *names = test.partition("[")[0].split("::")
        wanted = (f"def {names[-1]}(", f"async def {names[-1]}(") if names else ()
        inside = f"class {names[-2]}" if len(names) > 1 else ""
        lines = self._lines(file)
        first = next((number for number, line in enumerate(lines) if inside and line.lstrip().startswith(inside)), 0)
        for number, line in enumerate(lines[first:], first + 1):
            if wanted and line.lstrip().startswith(wanted):
                return Place(file=file, line=number)
        return Place(file=file)

    def _excerpt(self, place: Place, name: str) -> Excerpt | None:
        lines = self._lines(place.file)
        if place.line > len(lines):
            return None
        first = max(place.line - AROUND, 1)
        shown = lines[first - 1 : place.line + AROUND]
        return Excerpt(name, place, [(number, line[:LONGEST]) for number, line in enumerate(shown, first)])

    def _lines(self, file: str) -> list[str]:
        if file not in self._files:
            self._files[file] = self._read(file)
        return self._files[file]

    def _read(self, file: str) -> list[str]:
        """The lines of a file of the project: a report from elsewhere may name any file, and gets no other."""
        path = self._root / file
        if Path(file).is_absolute() or ".." in Path(file).parts or path.suffix != ".py":
            return []
        try:
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []


def root_of(report: Report, start: Path) -> Path:
    """The folder that the places of a report are relative to.

    Args:
        report: one that was read from a file does not know it: it may have been written elsewhere.
        start: the current folder; pytest may have been started in it, or in one above it.

    Returns:
        What the report says; else the nearest folder, from ``start`` up, in which one of its first places is; else
        ``start``.
    """
    if report.root:
        return Path(report.root)
    places = [item.where.file for item in report.items if item.where is not None]
    files = [file for file in dict.fromkeys(places) if not Path(file).is_absolute()][:MOST_TRIED]
    for folder in (start, *start.parents):
        if any((folder / file).is_file() for file in files):
            return folder
    return start
