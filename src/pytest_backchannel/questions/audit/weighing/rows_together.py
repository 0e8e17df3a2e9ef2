"""Rows that are written or missing together: an order and its lines are one cause, and not two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ..audit_data import LEVELS, Finding

_TOGETHER = ("missing", "insert")


def rows_together(found: Sequence[Finding], parents: Mapping[str, AbstractSet[str]]) -> list[Finding]:
    """The findings, with those of rows that refer to one another told once.

    The row that others refer to tells it. Where it matters less than they do, as one that ``get_or_create()`` makes
    whenever it is asked for, they tell it.

    Args:
        found: of one call.
        parents: the tables that each table refers to.
    """
    for kind in _TOGETHER:
        found = _of_kind(list(found), kind, parents)
    return list(found)


def _of_kind(found: list[Finding], kind: str, parents: Mapping[str, AbstractSet[str]]) -> list[Finding]:
    of_kind = {finding.of: finding for finding in found if finding.kind == kind}
    tells: dict[str, str] = {}
    for table, finding in of_kind.items():
        for other in sorted(parents.get(table, frozenset()) & of_kind.keys()):
            told_by = _teller(of_kind[other], finding)
            tells[other if told_by == table else table] = told_by
    groups: dict[str, list[str]] = {}
    for table in tells:
        if table != _end(table, tells):
            groups.setdefault(_end(table, tells), []).append(table)
    return [
        replace(finding, text=f"{finding.text}, and of {', '.join(sorted(groups[finding.of]))} with it")
        if finding.kind == kind and finding.of in groups
        else finding
        for finding in found
        if finding.kind != kind or _end(finding.of, tells) == finding.of
    ]


def _teller(parent: Finding, child: Finding) -> str:
    return child.of if LEVELS.index(child.level) < LEVELS.index(parent.level) else parent.of


def _end(table: str, tells: Mapping[str, str]) -> str:
    """Who tells of a table; where tables refer to one another in a ring, the first by name."""
    seen = [table]
    while seen[-1] in tells and tells[seen[-1]] not in seen:
        seen.append(tells[seen[-1]])
    ring = tells.get(seen[-1])
    return min(seen[seen.index(ring) :]) if ring is not None else seen[-1]
