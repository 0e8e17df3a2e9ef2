"""Rows that are deleted and written again with what was in them, as many tasks do with all that they keep."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from ..audit_data import Rows


@dataclass(frozen=True)
class MadeAgain:
    """Which rows are no others than before, under other keys.

    Attributes:
        gone: the keys that they had.
        made: those that they have.
    """

    gone: frozenset[str]
    made: frozenset[str]

    def others(self, rows: Rows) -> Rows:
        """The rows without them."""
        if not self.made:
            return rows
        return replace(rows, rows={key: row for key, row in rows.rows.items() if key not in self.made})


def made_again(wanted: Rows, there: Rows, known: set[str], masked: Container[str]) -> MadeAgain:
    """Find them.

    Args:
        wanted: the rows as they should be.
        there: as they are.
        known: the keys of those that were there before.
        masked: the columns that are not looked at: keys, times, noise.
    """
    before, after = wanted.contents(masked), there.contents(masked)
    gone: dict[tuple[str, ...], list[str]] = {}
    for key in sorted((known & before.keys()) - after.keys()):
        gone.setdefault(before[key], []).append(key)
    pairs = [
        (gone[content].pop(), key)
        for key, content in after.items()
        if key not in known and key not in before and gone.get(content)
    ]
    return MadeAgain(frozenset(old for old, _ in pairs), frozenset(new for _, new in pairs))
