"""What a test did with the parts of the project, as small facts: gathered while it runs, and carried with its report.

A fact is a tuple of three texts: the subject (``task:billing.tasks.send_invoice_email``), what happened to it
(``retried``), and a detail, mostly empty. A test that does the same a thousand times has one fact. What a fact means
for the project is decided once, where the report is made, with the inventory at hand.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ...active import Slot

Fact = tuple[str, str, str]

_facts: Slot[set[Fact]] = Slot("facts of a test, for the report")


def begin() -> None:
    """A test begins: nothing is known of it."""
    _facts.value = set()


def take() -> list[Fact]:
    """A test has ended: its facts, in order; none are gathered until the next one begins."""
    found, _facts.value = _facts.value, None
    return sorted(found or ())


def gathering() -> bool:
    """Whether a test runs whose facts are gathered."""
    return _facts.value is not None


def note(subject: str, what: str, detail: str = "") -> None:
    """Note one fact of the test that runs; between two tests nothing is noted."""
    found = _facts.value
    if found is not None:
        found.add((subject, what, detail))


@contextmanager
def gathered() -> Generator[set[Fact]]:
    """Within the block, facts go to a set of its own: for tests, and for those who do not use pytest."""
    before, _facts.value = _facts.value, set()
    try:
        yield _facts.value
    finally:
        _facts.value = before
