"""How the rows of two runs differ, by key and column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..audit_data import Finding, Rows, Tables
from .noise import Noise
from .rows_made_again import made_again
from .rows_together import rows_together


@dataclass(frozen=True)
class Words:
    """How to say it: of a second delivery, or of a death and what follows."""

    changed: str
    gone: str
    extra: str
    missing: str


# As ISO 8601 has it.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")
# From 2001 to 2100, in seconds since 1970.
_MOMENTS = (1_000_000_000, 4_102_444_800)

SECOND = Words("changes {} again", "deletes {} more of {}", "inserts {} more of {}", "{} of {} missing")
DEATH = Words("{} ends otherwise", "{} of {} lost for good", "{} of {} too many", "{} of {} never written")


def row_changes(
    expected: Tables,
    got: Tables,
    base: Tables,
    noise: Noise,
    words: Words,
    *,
    on_demand: Container[str] = (),
    left_alone: Mapping[str, Container[str]] = MappingProxyType({}),
) -> list[Finding]:
    """What of the rows is not as expected.

    Args:
        expected: the rows as they should be.
        got: as they are.
        base: as they were before; rows of it are known by their keys, all others by what is in them.
        noise: what is not looked at.
        words: how to say it.
        on_demand: the tables whose rows ``get_or_create()`` has made: whoever needs one next makes it.
        left_alone: the keys of rows, by their tables, that the first delivery did not change: the second one goes on
            with them, and does not do the same again.
    """
    found: list[Finding] = []
    parents: dict[str, set[str]] = {}
    for table in sorted({*expected, *got} - noise.tables):
        wanted, there = expected.get(table) or base.get(table), got.get(table) or base.get(table)
        if wanted is None or there is None:
            continue
        known = set(base[table].rows) if table in base else set[str]()
        masked = _masked(table, wanted, expected, base, noise)
        again = made_again(wanted, there, known, masked | _masked(table, there, got, base, noise))
        found += _changed(table, wanted, there, known, noise, words, left_alone.get(table, ()))
        found += _gone_or_kept(table, wanted, there, known - again.gone, words)
        found += _new(table, wanted, again.others(there), known, masked, words)
        parents[table] = {kind[1:] for kind in wanted.kinds.values() if kind.startswith(">")} - {table, ""}
    return rows_together([_asked_for(finding, on_demand) for finding in found], parents)


def _asked_for(finding: Finding, on_demand: Container[str]) -> Finding:
    if finding.kind != "missing" or finding.of not in on_demand:
        return finding
    return replace(finding, level="look", text=f"{finding.text}, until get_or_create() is asked for it")


def _changed(
    table: str, wanted: Rows, there: Rows, known: set[str], noise: Noise, words: Words, left_alone: Container[str]
) -> Iterator[Finding]:
    told: set[str] = set()
    for key in sorted(known & set(wanted.rows) & set(there.rows), key=lambda key: (key in left_alone, key)):
        for column, old, new in zip(wanted.columns, wanted.rows[key], there.rows[key], strict=True):
            if old != new and column not in told:
                told.add(column)
                finding = _of_column(table, column, old, new, wanted.kinds.get(column, ""), noise, words)
                yield _gone_on(finding) if key in left_alone else finding


def _gone_on(finding: Finding) -> Finding:
    level = "look" if finding.level == "breaks" else "small"
    return replace(finding, level=level, text=f"{finding.text}, in a row that the first delivery left alone")


def _of_column(table: str, column: str, old: str, new: str, kind: str, noise: Noise, words: Words) -> Finding:
    name = f"{table}.{column}"
    if kind == "stamp" or (kind == "time" and "None" not in (old, new)) or _are_moments(old, new):
        return Finding(level="small", kind="stamp", text=f"gives {name} another time", of=name)
    if (table, column) in noise.cells:
        level = "look" if words is SECOND and not kind else "small"
        return Finding(level=level, kind="fresh", text=f"gives {name} another value each time", of=name)
    text = f"{words.changed.format(name)}: {_short(old)} → {_short(new)}"
    counts = kind == "number" and "attempt" not in column  # each delivery is an attempt, and may be counted
    return Finding(level="breaks" if counts else "look", kind="update", text=text, of=name)


def _are_moments(old: str, new: str) -> bool:
    """Whether they are alike but for times: texts with a date and a time, or seconds since 1970 of one hour."""
    if _TIME.search(old) and _TIME.sub("", old) == _TIME.sub("", new):
        return True
    numbers = [float(value) for value in (old, new) if re.fullmatch(r"\d{10}(\d{3})?(\.\d+)?", value)]
    if len(numbers) < 2:
        return False
    unit = 1000 if min(numbers) > _MOMENTS[1] else 1
    return all(_MOMENTS[0] < number / unit < _MOMENTS[1] for number in numbers) and (
        max(numbers) - min(numbers) < 3600 * unit
    )


def _gone_or_kept(table: str, wanted: Rows, there: Rows, known: set[str], words: Words) -> Iterator[Finding]:
    gone = [key for key in known if key in wanted.rows and key not in there.rows]
    kept = [key for key in known if key not in wanted.rows and key in there.rows]
    if gone:
        yield Finding(level="breaks", kind="delete", text=words.gone.format(_rows(len(gone)), table), of=table)
    if kept:
        yield Finding(level="look", kind="kept", text=f"{_rows(len(kept))} of {table} not deleted", of=table)


def _new(table: str, wanted: Rows, there: Rows, known: set[str], masked: set[str], words: Words) -> Iterator[Finding]:
    columns = [column for column in wanted.columns if column not in masked]
    a, b = (_new_rows(rows, known, masked) for rows in (wanted, there))
    extra, missing = b - a, a - b
    more, fewer = sum(extra.values()), sum(missing.values())
    if more > fewer:
        text = words.extra.format(_rows(more - fewer), table)
        if there.history:
            yield Finding(level="small", kind="insert", text=f"{text}, a log of changes", of=table)
        else:
            yield Finding(level="breaks", kind="insert", text=text, of=table)
    elif fewer > more:
        text = words.missing.format(_rows(fewer - more), table)
        yield Finding(level="breaks", kind="missing", text=text, of=table)
    elif more:
        left, right = next(iter(missing)), next(iter(extra))
        told = [
            f"{column}: {_short(old)} → {_short(new)}"
            for column, old, new in zip(columns, left, right, strict=True)
            if old != new
        ]
        text = f"a row of {table} ends otherwise ({'; '.join(told[:2])})"
        yield Finding(level="look", kind="row", text=text, of=table)


def _new_rows(rows: Rows, known: set[str], masked: set[str]) -> Counter[tuple[str, ...]]:
    return Counter(content for key, content in rows.contents(masked).items() if key not in known)


def _masked(table: str, rows: Rows, expected: Tables, base: Tables, noise: Noise) -> set[str]:
    """The columns by which new rows are not compared: their keys, times, noise, and keys of other new rows."""
    masked = {column for name, column in noise.cells if name == table} | {rows.key}
    grown = {name for name, other in expected.items() if set(other.rows) - set(base[name].rows if name in base else ())}
    for column, kind in rows.kinds.items():
        to_any = kind == ">" and bool(grown - {table})
        if kind in ("stamp", "time") or to_any or (kind.startswith(">") and kind[1:] in grown):
            masked.add(column)
    return masked


def _rows(count: int) -> str:
    return "a row" if count == 1 else f"{count} rows"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:30]}…{text[-25:]}"
