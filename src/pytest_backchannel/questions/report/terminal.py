"""The summary at the end of a run: what went unseen in tests that use none of the fixtures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

# One problem a line of the project's, whatever it says in particular: the name of a group is in its text.
ONCE_A_LINE = frozenset({"no_members", "sent_in_transaction"})


@dataclass
class _Seen:
    slug: str
    where: str
    text: str
    times: int = 0
    tests: dict[str, None] = field(default_factory=dict[str, None])


class Observed:
    """Gathers what was observed, from this process or from the workers of pytest-xdist; true where there is any."""

    TITLE = "backchannel: unseen behind the request"

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], _Seen] = {}

    def __bool__(self) -> bool:
        return bool(self._seen)

    def add(self, test: str, observed: Iterable[Mapping[str, str | int]]) -> None:
        """Take what was observed in one test: of each problem its ``slug``, ``text``, ``where`` and ``count``."""
        for entry in observed:
            slug, where = str(entry["slug"]), str(entry["where"])
            text = str(entry["text"]).splitlines()[0]
            key = slug, where, "" if slug in ONCE_A_LINE and where else text
            seen = self._seen.setdefault(key, _Seen(slug, where, text))
            seen.times += int(entry.get("count", 1))
            seen.tests[test] = None

    def lines(self) -> Iterator[str]:
        """Each kind of problem once, with how often and the tests in which it was seen."""
        for _, seen in sorted(self._seen.items()):
            first = next(iter(seen.tests))
            more = f" and {len(seen.tests) - 1} more" if len(seen.tests) > 1 else ""
            times = f"{seen.times} times, " if seen.slug in ONCE_A_LINE and seen.times > 1 else ""
            yield f"{seen.slug}: {seen.text}" + (f" [{seen.where}]" if seen.where else "")
            yield f"    {times}in {first}{more}"
        yield "None of it failed a test; 'backchannel_strict = true' makes it."
