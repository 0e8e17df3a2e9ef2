"""By what the parts of the page are known, so that they can be linked to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..model import Item, TestRun
from .shown_words import facet_words


@dataclass(frozen=True)
class Link:
    """A link to something in the page; plain text where ``to`` is empty."""

    to: str
    text: str


class Names:
    """What the parts of the page are known by.

    Args:
        items: of the report.
        tests: of the report.
        audited: of each task that was audited, its verdict.
    """

    def __init__(
        self, items: Sequence[Item] = (), tests: Sequence[TestRun] = (), audited: Mapping[str, Link] | None = None
    ) -> None:
        self.items = {item.key: Link(f"i{number}", item.title) for number, item in enumerate(items)}
        self.tests = {test.id: Link(f"t{number}", short(test.id)) for number, test in enumerate(tests)}
        self.audited = audited or {}
        self.of_task: dict[str, list[Item]] = {}
        self.of_consumer: dict[str, list[Item]] = {}
        self.reached: dict[str, list[tuple[Link, str]]] = {}
        for item in items:
            if item.kind in ("call", "beat"):
                self.of_task.setdefault(str(item.about.get("task")), []).append(item)
            if item.kind in ("route", "handler", "frame"):
                self.of_consumer.setdefault(str(item.about.get("consumer")), []).append(item)
            by_test: dict[str, list[str]] = {}
            for facet in item.facets.values():
                for test in facet.tests:
                    by_test.setdefault(test, []).append(facet_words(facet.name))
            for test, words in by_test.items():
                self.reached.setdefault(test, []).append((self.items[item.key], ", ".join(words)))

    def links(self, tests: Iterable[str]) -> list[Link]:
        """Links to tests; one that the report does not have is left out."""
        return [self.tests[test] for test in tests if test in self.tests]


def short(test: str) -> str:
    """The name of a test, without its file."""
    return test.partition("::")[2] or test
