"""The summary at the end of a run: what went unseen in tests that use none of the fixtures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping


class Observed:
    """Gathers what was observed, from this process or from the workers of pytest-xdist; true where there is any."""

    TITLE = "backchannel: unseen behind the request"

    def __init__(self) -> None:
        self._tests: dict[tuple[str, str, str], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._tests)

    def add(self, test: str, observed: Iterable[Mapping[str, str]]) -> None:
        """Take what was observed in one test: of each problem its ``slug``, ``text`` and ``where``."""
        for entry in observed:
            kind = entry["slug"], entry["where"], entry["text"].splitlines()[0]
            self._tests.setdefault(kind, []).append(test)

    def lines(self) -> Iterator[str]:
        """Each kind of problem once, with the tests in which it was seen."""
        for (slug, where, text), tests in sorted(self._tests.items()):
            names = list(Counter(tests))
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{slug}: {text}" + (f" [{where}]" if where else "")
            yield f"    in {names[0]}{more}"
        yield "None of it failed a test; 'backchannel_strict = true' makes it."
