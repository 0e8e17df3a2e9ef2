"""The report in the terminal: the gaps, what would hurt most first, each with the test to write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import KINDS, Gap, Report

TARGET = ""
TITLE = "backchannel: what no test has reached"
MOST = 20
"""How many gaps are shown; those that many items have in common are one."""
IN_COMMON = 4
"""From how many items on one thing is told once."""
_PLURALS = {**{kind: f"{kind}s" for kind in KINDS}, "call": "places", "frame": "kinds of frames"}
NAMES = 6
"""How many of these items are named."""


def write(report: Report, target: str) -> Sequence[str]:
    """The lines; nothing is written."""
    return list(lines(report))


def lines(report: Report, *, most: int = MOST) -> Iterator[str]:
    """What the terminal shows.

    Args:
        report: what to show.
        most: how many gaps, at most.
    """
    yield from (f"Not known: {line}" for line in report.not_known)
    shown = 0
    groups = _groups(report)
    for gaps in groups[:most]:
        shown += len(gaps)
        yield from _alike(gaps, report) if len(gaps) >= IN_COMMON else _gap_lines(gaps[0])
    fresh = sum(map(len, groups))
    if fresh > shown:
        yield f"… and {fresh - shown} more: --backchannel-report=json has all of them."
    yield _sum(report, fresh)


def _groups(report: Report) -> list[list[Gap]]:
    """The gaps that are not in the baseline, in their order; what many items have in common is one group."""
    alike: dict[tuple[str, str], list[Gap]] = {}
    for gap in report.gaps:
        if not gap.in_baseline:
            alike.setdefault((gap.item.partition(":")[0], _words(gap, report)), []).append(gap)
    groups: list[list[Gap]] = []
    for gaps in alike.values():
        groups += [gaps] if len(gaps) >= IN_COMMON else [[gap] for gap in gaps]
    return sorted(groups, key=lambda gaps: (-gaps[0].rank, gaps[0].sentence, gaps[0].key))


def _words(gap: Gap, report: Report) -> str:
    """The sentence without the item."""
    return gap.sentence.removeprefix(f"{report.item(gap.item).title}: ")


def _alike(gaps: Sequence[Gap], report: Report) -> Iterator[str]:
    names = [report.item(gap.item).title for gap in gaps]
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    kind = report.item(gaps[0].item).kind
    yield f"{len(gaps)} {_PLURALS.get(kind, kind)} {_words(gaps[0], report)}: {', '.join(names[:NAMES])}{more}"
    yield from _advice(gaps[0])


def _gap_lines(gap: Gap) -> Iterator[str]:
    yield gap.sentence + (f"  [{gap.where}]" if gap.where else "")
    yield from _advice(gap)


def _advice(gap: Gap) -> Iterator[str]:
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
