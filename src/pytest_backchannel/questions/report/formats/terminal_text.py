"""The report in the terminal: the gaps, what would hurt most first, each with the test to write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import Gap, Report

TARGET = ""
TITLE = "backchannel: what no test has reached"
MOST = 20
"""How many gaps are shown."""


def write(report: Report, target: str) -> Sequence[str]:
    """The lines; nothing is written."""
    return list(lines(report))


def lines(report: Report, *, most: int = MOST) -> Iterator[str]:
    """What the terminal shows.

    Args:
        report: what to show.
        most: how many gaps, at most.
    """
    fresh = [gap for gap in report.gaps if not gap.in_baseline]
    yield from (f"Not known: {line}" for line in report.not_known)
    for gap in fresh[:most]:
        yield from _gap_lines(gap)
    if len(fresh) > most:
        yield f"… and {len(fresh) - most} more: --backchannel-report=json has all of them."
    yield _sum(report, len(fresh))


def _gap_lines(gap: Gap) -> Iterator[str]:
    yield gap.sentence + (f"  [{gap.where}]" if gap.where else "")
    if gap.hurts:
        yield f"    {gap.hurts}"
    if gap.test:
        yield f"    → {gap.test}"


def _sum(report: Report, fresh: int) -> str:
    if not report.items:
        return "Nothing was found that could be reached: no task, no route."
    known = len(report.gaps) - fresh
    gaps = f"{fresh or 'no'} gap{'' if fresh == 1 else 's'}" + (f", and {known} of the baseline" if known else "")
    return f"Reached {report.reached} of {report.wanted} ({report.percent:g} %): {gaps}."
