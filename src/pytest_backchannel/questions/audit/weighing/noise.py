"""What differs between two clean runs from one state: times, random values, sequences. It is no finding elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from ..audit_data import BodyRun, Effect, Rows

_VARIES = re.compile(
    r"0x[0-9a-f]{4,}"  # an address
    r"|[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"  # a uuid
    r"|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"  # a time
)


def effect_key(effect: Effect) -> str:
    """What makes two effects the same, whatever their times and random values are."""
    return _VARIES.sub("#", effect.label)


@dataclass(frozen=True)
class Noise:
    """What is not looked at.

    Attributes:
        cells: columns, as pairs of a table and a name.
        tables: whole tables.
        effects: keys of effects.
    """

    cells: frozenset[tuple[str, str]] = frozenset()
    tables: frozenset[str] = frozenset()
    effects: frozenset[str] = frozenset()


def noise_of(one: BodyRun, other: BodyRun) -> Noise:
    """What two clean runs from the same state differ in."""
    cells: set[tuple[str, str]] = set()
    tables: set[str] = set()
    for table in {*one.after, *other.after}:
        a, b = one.after.get(table), other.after.get(table)
        if a is None or b is None:
            tables.add(table)
            continue
        cells |= {(table, column) for column in _varying(one.before.get(table), a, b)}
        base = set(one.before[table].rows) if table in one.before else set[str]()
        if len(set(a.rows) - base) != len(set(b.rows) - base):
            tables.add(table)
    ours, theirs = (Counter(map(effect_key, run.effects)) for run in (one, other))
    return Noise(frozenset(cells), frozenset(tables), frozenset((ours - theirs) + (theirs - ours)))


def _varying(base: Rows | None, a: Rows, b: Rows) -> set[str]:
    known = set(base.rows) if base is not None else set[str]()
    found = {
        column
        for key in known & set(a.rows) & set(b.rows)
        for column, left, right in zip(a.columns, a.rows[key], b.rows[key], strict=True)
        if left != right
    }
    new_a, new_b = ([row for key, row in rows.rows.items() if key not in known] for rows in (a, b))
    for at, column in enumerate(a.columns):
        if Counter(row[at] for row in new_a) != Counter(row[at] for row in new_b):
            found.add(column)
    return found
