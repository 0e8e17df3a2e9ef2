"""The audit in the terminal: the verdicts first, one block a cause; and what is not known."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from ..audit_options import AuditOptions
from ..run_audit import RunAudit
from ..weighing.task_verdicts import (
    ALLOWED,
    BREAKS,
    KNOWN,
    LOOK,
    NO_DIFFERENCE,
    NO_EFFECT,
    NOT_AUDITED,
    NOT_FAITHFUL,
    Cause,
    TaskVerdict,
    without_known,
)

TITLE = "backchannel: delivered twice, or dead half-way"

ACKS = {
    "early": "early ack: a death leaves the rest undone, and nothing mends it; deaths are told as with acks_late",
    "late": "acks_late: redelivered when the worker dies; a child that is lost is acked as failed (WorkerLostError)",
    "late+lost": "acks_late and reject_on_worker_lost: redelivered whichever process dies",
}
"""What a death means, by when a task is acknowledged."""
ACKS_SHORT = {"early": "early ack", "late": "acks_late", "late+lost": "acks_late, reject_on_worker_lost"}
_TESTS = 2


def audit_lines(audit: RunAudit, options: AuditOptions, baseline: Container[str] = ()) -> list[str]:
    """What to print.

    Args:
        audit: of the run.
        options: what was asked for.
        baseline: the keys of what is known: it is only counted.
    """
    found = audit.verdicts(options)
    verdicts = [without_known(verdict, baseline) for verdict in found]
    known = {
        verdict.task: len(verdict.causes) - len(told.causes) for verdict, told in zip(found, verdicts, strict=True)
    }
    lines = [figures(audit, verdicts)]
    for word in (BREAKS, LOOK):
        for verdict in verdicts:
            if verdict.verdict == word:
                lines += ["", *_block(verdict, audit, known[verdict.task])]
    lines += ["", *_known_told(verdicts, known), *_lists(verdicts, audit)]
    lines += _acks_told(verdicts, audit)
    return lines


def figures(audit: RunAudit, verdicts: Iterable[TaskVerdict]) -> str:
    """How much was audited, in one line.

    Args:
        audit: of the run.
        verdicts: of its tasks.
    """
    audited = sum(verdict.calls > 0 for verdict in verdicts)
    calls = audit.distinct()
    points = sum(call.points for call in calls)
    return (
        f"{audited} of {len(audit.ran)} tasks that ran are audited, of {len(audit.known)} that there are: "
        f"{len(calls)} ways through them, {points} deaths, {audit.seconds:.1f} s."
    )


def _block(verdict: TaskVerdict, audit: RunAudit, in_baseline: int) -> Iterator[str]:
    known = audit.known.get(verdict.task)
    where = f"  {known.where}" if known is not None and known.where else ""
    acks = f"  ({ACKS_SHORT[known.acks]})" if known is not None else ""
    yield f"{verdict.verdict:6} {verdict.task}{where}{acks}"
    head = ""
    for cause in sorted(verdict.causes, key=lambda cause: (cause.finding.after != "", cause.finding.after)):
        finding = cause.finding
        if finding.level == "small":
            continue
        when = (
            "delivered twice"
            if not finding.after
            else f"dies after {finding.after}" + (f",\n        before {finding.before}" if finding.before else "")
        )
        if when != head:
            yield from f"    {when}:".split("\n")
            head = when
        yield f"      {finding.text}{_at(cause)}   [{_tests(cause)}]"
    small = [cause.finding.text for cause in verdict.causes if cause.finding.level == "small"]
    if small:
        yield f"    beside: {'; '.join(dict.fromkeys(small[:3]))}" + (
            f", and {len(small) - 3} more" if small[3:] else ""
        )
    if in_baseline:
        yield f"    known, by the baseline: {in_baseline} more"
    missed = _missed(verdict, audit)
    if missed:
        yield f"    {missed}"


def _known_told(verdicts: Iterable[TaskVerdict], known: Mapping[str, int]) -> Iterator[str]:
    tasks = [verdict.task for verdict in verdicts if verdict.verdict == KNOWN]
    if tasks:
        yield f"{KNOWN}, by the baseline ({len(tasks)}): " + ", ".join(f"{task} ({known[task]})" for task in tasks)


def _missed(verdict: TaskVerdict, audit: RunAudit) -> str:
    """What of a task was not audited, and why; empty where all of it was, or nothing."""
    return "; ".join(filter(None, (_missed_calls(verdict, audit), _missed_deaths(verdict, audit))))


def _missed_deaths(verdict: TaskVerdict, audit: RunAudit) -> str:
    calls = [call for call in audit.distinct() if call.task == verdict.task]
    reasons = dict.fromkeys(reason for call in calls for reason in call.unfinished)
    left = sum(call.points_left for call in calls)
    if left:
        reasons[f"no time was left for {left} of them"] = None
    return f"not all of its deaths are audited: {'; '.join(reasons)}" if reasons else ""


def _missed_calls(verdict: TaskVerdict, audit: RunAudit) -> str:
    reasons = audit.skipped.get(verdict.task)
    if not reasons or not verdict.calls:
        return ""
    count = sum(reasons.values())
    others = len(reasons) - 1
    more = f"; and for {others} other reason{'' if others == 1 else 's'}" if others else ""
    return f"not audited in {count} other call{'' if count == 1 else 's'}: {reasons.most_common(1)[0][0]}{more}"


def _at(cause: Cause) -> str:
    where = cause.finding.where
    return f"  at {where}" if where and where not in cause.finding.text else ""


def _tests(cause: Cause) -> str:
    names = [test.rpartition("::")[2] for test in cause.tests]
    more = f" and {len(names) - _TESTS} more" if len(names) > _TESTS else ""
    return ", ".join(names[:_TESTS]) + more


def _lists(verdicts: list[TaskVerdict], audit: RunAudit) -> Iterator[str]:
    for word, why in (
        (NO_DIFFERENCE, "in what these tests ran"),
        (NO_EFFECT, "so nothing is known"),
    ):
        found = [verdict for verdict in verdicts if verdict.verdict == word]
        if found:
            yield f"{word}, {why} ({len(found)}): {', '.join(verdict.task for verdict in found)}"
            yield from (f"    {verdict.task}: {missed}" for verdict in found if (missed := _missed(verdict, audit)))
    for word, why in (
        (NOT_FAITHFUL, "a shadow differs from the test's own run"),
        (NOT_AUDITED, ""),
        (ALLOWED, ""),
    ):
        found = [verdict for verdict in verdicts if verdict.verdict == word]
        if found:
            yield f"{word}{f', {why}' if why else ''} ({len(found)}):"
            yield from (f"    {verdict.task}: {verdict.reason}" for verdict in found)


def _acks_told(verdicts: list[TaskVerdict], audit: RunAudit) -> Iterator[str]:
    half = [
        verdict.task
        for verdict in verdicts
        if verdict.undone and verdict.task in audit.known and audit.known[verdict.task].acks != "late+lost"
    ]
    if half:
        yield (
            f"Left half done by a death after which no message comes again ({len(half)}; each with its effects in the "
            f"JSON): {', '.join(half)}"
        )
    used = {audit.known[verdict.task].acks for verdict in verdicts if verdict.task in audit.known and verdict.causes}
    for acks in sorted(used):
        yield f"{ACKS[acks]}."
