"""What a suite made of a change: caught or not, by what, and whether the text says where to look."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from pytest_backchannel.errors import SLUGS

from .edits import Change

SLUG = re.compile(rf"\b({'|'.join(sorted(SLUGS, key=len, reverse=True))}):")
STORY = re.compile(r" +[\d.]+ s  ")  # a line of "Behind the request"


@dataclass
class Verdict:
    """Of one suite under one set-up.

    Args:
        red: whether a test failed.
        told: whether the plugin said anything, in a warning or its summary, that it does not say of the example.
        by: the tests that failed, or what was told.
        slugs: the verdicts of the plugin in their texts; empty where the tests' own assertions did it.
        names_cause: whether a text names a changed file, function or setting.
        text: the first failure.
    """

    red: bool = False
    told: bool = False
    by: list[str] = field(default_factory=list)
    slugs: list[str] = field(default_factory=list)
    names_cause: bool = False
    text: str = ""

    @property
    def caught(self) -> bool:
        """Whether somebody who runs the suite sees anything."""
        return self.red or self.told

    def as_json(self) -> dict[str, Any]:
        """All but the text."""
        return {name: value for name, value in asdict(self).items() if name != "text"}


def verdict(change: Change, failures: list[dict[str, str]], news: list[str]) -> Verdict:
    """The verdict of what failed and what was told."""
    texts = [failure["text"] for failure in failures] or news
    slugs = dict.fromkeys(slug for text in texts for slug in SLUG.findall(said(text)))
    return Verdict(
        red=bool(failures),
        told=bool(news),
        by=list(dict.fromkeys(failure["test"] for failure in failures)) or [line.splitlines()[0] for line in news],
        slugs=list(slugs),
        names_cause=any(names(change, text) for text in texts),
        text=texts[0] if texts else "",
    )


def said(text: str) -> str:
    """The text without the lines of the test's own source, which name everything that it calls."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("    ") or STORY.match(line))


def names(change: Change, text: str) -> bool:
    """Whether a text names what was changed."""
    text = said(text)
    return any(
        file in text or any(re.search(rf"\b{re.escape(name)}\b", text) for name in found)
        for file, found in change.causes().items()
    )
