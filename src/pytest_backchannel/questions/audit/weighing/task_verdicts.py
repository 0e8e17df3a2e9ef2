"""What is said of a task, of all calls that were audited: never that it is safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..audit_data import AuditedCall, Finding

BREAKS = "BREAKS"
LOOK = "LOOK"
NO_DIFFERENCE = "NO DIFFERENCE FOUND"
NO_EFFECT = "NO EFFECT SEEN"
NOT_FAITHFUL = "NOT FAITHFUL"
NOT_AUDITED = "NOT AUDITED"
ALLOWED = "ALLOWED"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause, with all tests that show it.

    Attributes:
        finding: as the first of them shows it.
        tests: which do.
    """

    finding: Finding
    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskVerdict:
    """What is said of one task.

    Attributes:
        task: its name.
        verdict: the word for it.
        reason: why it was not audited, is not faithful or is allowed; empty else.
        causes: what was found, the worst first.
        calls: of how many calls, of how many different ways, it is.
        undone: what a death leaves undone where the message does not come again.
    """

    task: str
    verdict: str
    reason: str = ""
    causes: tuple[Cause, ...] = ()
    calls: int = 0
    undone: str = ""


def verdicts_of(
    calls: Sequence[AuditedCall], skipped: Mapping[str, Sequence[str]], allowed: Mapping[str, str]
) -> list[TaskVerdict]:
    """One for each task, in the order of their names.

    Args:
        calls: those that were audited.
        skipped: the reasons for which calls of a task were not, the most frequent first.
        allowed: why the findings about a task are intended.
    """
    by_task: dict[str, list[AuditedCall]] = {}
    for call in calls:
        by_task.setdefault(call.task, []).append(call)
    found = {task: _verdict(task, of_task, allowed.get(task, "")) for task, of_task in by_task.items()}
    _forgive_enqueues(found)
    for task, reasons in skipped.items():
        if task not in found and reasons:
            found[task] = TaskVerdict(task=task, verdict=NOT_AUDITED, reason=reasons[0])
    return [found[task] for task in sorted(found)]


def _verdict(task: str, calls: Sequence[AuditedCall], allowed: str) -> TaskVerdict:
    intended = allowed or next((call.allowed for call in calls if call.allowed and call.findings), "")
    causes = _causes([] if allowed else [call for call in calls if not call.allowed])
    undone = next((call.undone for call in calls if call.undone), "")
    verdict, reason = _word(calls, causes), ""
    if verdict in (NO_DIFFERENCE, NO_EFFECT, NOT_FAITHFUL) and intended:
        verdict, reason = ALLOWED, intended
    elif verdict == NOT_FAITHFUL:
        reason = next(call.unfaithful for call in calls if call.unfaithful)
    return TaskVerdict(task=task, verdict=verdict, reason=reason, causes=causes, calls=len(calls), undone=undone)


def _word(calls: Sequence[AuditedCall], causes: Sequence[Cause]) -> str:
    levels = {cause.finding.level for cause in causes}
    if "breaks" in levels:
        return BREAKS
    if "look" in levels:
        return LOOK
    if any(call.unfaithful for call in calls):
        return NOT_FAITHFUL
    return NO_DIFFERENCE if any(call.effects for call in calls) else NO_EFFECT


def _causes(calls: Iterable[AuditedCall]) -> tuple[Cause, ...]:
    found: dict[tuple[str, str, str], Cause] = {}
    for call in calls:
        for finding in call.findings:
            if call.unfaithful and finding.level == "breaks":
                finding = replace(finding, level="look")
            known = found.get(finding.cause)
            if known is None:
                found[finding.cause] = Cause(finding=finding, tests=(call.test,))
            elif call.test not in known.tests:
                found[finding.cause] = replace(known, tests=(*known.tests, call.test))
    rank = {"breaks": 0, "look": 1, "small": 2}
    return tuple(sorted(found.values(), key=lambda cause: rank[cause.finding.level]))


def _forgive_enqueues(found: dict[str, TaskVerdict]) -> None:
    """To enqueue a task once more is as bad as that task is when it comes twice."""
    for _ in range(len(found) + 1):
        harmless = {task for task, verdict in found.items() if verdict.verdict in (NO_DIFFERENCE, NO_EFFECT, ALLOWED)}
        changed = False
        for task, verdict in found.items():
            causes = tuple(_forgiven(cause, harmless) for cause in verdict.causes)
            if causes != verdict.causes:
                levels = {cause.finding.level for cause in causes}
                word = BREAKS if "breaks" in levels else LOOK if "look" in levels else NO_DIFFERENCE
                found[task] = replace(verdict, causes=causes, verdict=word)
                changed = True
        if not changed:
            return


def _forgiven(cause: Cause, harmless: set[str]) -> Cause:
    finding = cause.finding
    enqueued = set(finding.of.split(", "))  # of a workflow, all of its tasks
    if finding.kind != "enqueue" or finding.level == "small" or not enqueued <= harmless:
        return cause
    text = f"{finding.text}, which takes it"
    return replace(cause, finding=replace(finding, level="small", text=text))
