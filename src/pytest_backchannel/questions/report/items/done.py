"""What all tests did, to be asked by subject: the facts of the tests, the other way round."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ....inventory.asgi_inventory import AsgiInventory
from ....inventory.celery_inventory import CeleryInventory
from ..facts import Fact
from ..model import OPEN, REACHED, Facet, Note, Place

if TYPE_CHECKING:
    from ....source import SourceIndex


class Done:
    """Facts, by their subject.

    Args:
        facts: those of each test, by its id.
    """

    def __init__(self, facts: Mapping[str, Iterable[Fact]]) -> None:
        # subject → what → detail → tests
        self._facts: dict[str, dict[str, dict[str, set[str]]]] = {}
        for test, found in facts.items():
            for subject, what, detail in found:
                of_subject = self._facts.setdefault(subject, {})
                of_subject.setdefault(what, {}).setdefault(detail, set()).add(test)

    def subjects(self, kind: str) -> Iterator[str]:
        """The names of all subjects of a kind, such as the paths of ``socket``; in order."""
        prefix = f"{kind}:"
        yield from sorted(subject[len(prefix) :] for subject in self._facts if subject.startswith(prefix))

    def details(self, subject: str, what: str) -> Mapping[str, set[str]]:
        """The details of one fact, each with the tests that have it."""
        return self._facts.get(subject, {}).get(what, {})

    def tests(self, subject: str, *whats: str) -> set[str]:
        """The tests that have one of these facts."""
        found = self._facts.get(subject)
        if found is None:  # what no test came by is most of what is asked for
            return set()
        return set().union(*(tests for what in whats for tests in found.get(what, {}).values()))

    def whats(self, subject: str) -> Iterator[str]:
        """What happened to a subject, in order."""
        yield from sorted(self._facts.get(subject, {}))


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of the project.

    Attributes:
        root: pytest's root, to which places are relative.
        celery: what a worker has; None where that is not known, or the project has no Celery.
        asgi: what a web process has; None where that is not known.
        index: what the code says without being run; None where that was not read.
        settings: the module under which the project was read.
        not_known: why something is not known, each in one line.
    """

    root: Path
    celery: CeleryInventory | None = None
    asgi: AsgiInventory | None = None
    index: SourceIndex | None = None
    settings: str = ""
    not_known: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict[str, str])

    def place(self, file: str, line: int = 0) -> Place | None:
        """A place, relative to the root; None where the file is not known."""
        if not file:
            return None
        if file not in self.places:
            relative = os.path.relpath(os.path.realpath(file), os.path.realpath(self.root))
            self.places[file] = file if relative.startswith("..") else relative.replace(os.sep, "/")
        return Place(file=self.places[file], line=line)

    def source_place(self, path: str, line: int = 0) -> Place | None:
        """A place of the static index, whose paths are relative to the tree that it has read."""
        return self.place(str(Path(self.index.root) / path), line) if self.index is not None else None


def facet(
    name: str, tests: Iterable[str], *, wanted: bool = False, why: str = "", notes: Iterable[Note] = ()
) -> tuple[str, Facet]:
    """A facet by its name, reached where there are tests."""
    found = tuple(sorted(tests))
    made = Facet(
        name=name,
        wanted=wanted,
        why=why if wanted else "",
        state=REACHED if found else OPEN,
        tests=found,
        notes=tuple(notes),
    )
    return name, made


def notes_of(details: Mapping[str, Iterable[str]]) -> tuple[Note, ...]:
    """The details of a fact as notes, in order."""
    return tuple(Note(text=text, tests=tuple(sorted(tests))) for text, tests in sorted(details.items()) if text)
