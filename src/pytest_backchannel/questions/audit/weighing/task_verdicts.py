"""What is said of a task, of all calls that were audited: never that it is safe."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..audit_data import LEVELS, AuditedCall, Finding
from ..finding_keys import OF_TASK, keys_of

BREAKS = "BREAKS"
LOOK = "LOOK"
NO_DIFFERENCE = "NO DIFFERENCE FOUND"
NO_EFFECT = "NO EFFECT SEEN"
NOT_FAITHFUL = "NOT FAITHFUL"
NOT_AUDITED = "NOT AUDITED"
ALLOWED = "ALLOWED"
KNOWN = "KNOWN"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause, with all tests that show it.

    Attributes:
        finding: as the first of them shows it.
        tests: which do.
        key: by which a baseline knows it.
    """

    finding: Finding
    tests: tuple[str, ...]
    key: str = ""


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


def without_known(verdict: TaskVerdict, baseline: Container[str]) -> TaskVerdict:
    """A verdict without what breaks the task and is in a baseline; what only asks to be looked at stays.

    Args:
        verdict: with all that was found.
        baseline: the keys of what is known.

    Returns:
        The same verdict where nothing of it is known; ``KNOWN`` where nothing else breaks or asks to be looked at.
    """
    left = tuple(cause for cause in verdict.causes if not (_breaks(cause) and cause.key in baseline))
    if len(left) == len(verdict.causes):
        return verdict
    levels = {cause.finding.level for cause in left}
    return replace(verdict, causes=left, verdict=_worst(levels, KNOWN))


def fresh(verdicts: Iterable[TaskVerdict], baseline: Container[str]) -> list[Cause]:
    """What breaks a task, and is not in a baseline.

    Args:
        verdicts: with all that was found.
        baseline: the keys of what is known.
    """
    causes = (cause for verdict in verdicts for cause in verdict.causes)
    return [cause for cause in causes if _breaks(cause) and cause.key not in baseline]


def mended(verdicts: Iterable[TaskVerdict], baseline: Iterable[str]) -> list[str]:
    """The keys of a baseline that are found no more, of tasks that were audited.

    Args:
        verdicts: with all that was found.
        baseline: the keys of what is known.
    """
    audited = [verdict for verdict in verdicts if verdict.verdict not in (NOT_AUDITED, NOT_FAITHFUL)]
    starts = tuple(f"{OF_TASK}{verdict.task}#" for verdict in audited)
    found = {cause.key for verdict in audited for cause in verdict.causes}
    return sorted(key for key in baseline if key.startswith(starts) and key not in found)


def _breaks(cause: Cause) -> bool:
    return cause.finding.level == "breaks"


def _worst(levels: Container[str], otherwise: str) -> str:
    return BREAKS if "breaks" in levels else LOOK if "look" in levels else otherwise


def verdicts_of(
    calls: Sequence[AuditedCall],
    skipped: Mapping[str, Sequence[str]],
    allowed: Mapping[str, str],
    scheduled: Container[str] = (),
) -> list[TaskVerdict]:
    """One for each task, in the order of their names.

    Args:
        calls: those that were audited.
        skipped: the reasons for which calls of a task were not, the most frequent first.
        allowed: why the findings about a task are intended.
        scheduled: the tasks that run again and again by the schedule.
    """
    by_task: dict[str, list[AuditedCall]] = {}
    for call in calls:
        by_task.setdefault(call.task, []).append(call)
    found = {
        task: _verdict(task, of_task, allowed.get(task, ""), task in scheduled) for task, of_task in by_task.items()
    }
    _forgive_enqueues(found)
    for task, reasons in skipped.items():
        if task not in found and reasons:
            found[task] = TaskVerdict(task=task, verdict=NOT_AUDITED, reason=reasons[0])
    return [found[task] for task in sorted(found)]


def _verdict(task: str, calls: Sequence[AuditedCall], allowed: str, scheduled: bool) -> TaskVerdict:
    intended = allowed or next((call.allowed for call in calls if call.allowed and call.findings), "")
    causes = _keyed(task, _causes([] if allowed else [call for call in calls if not call.allowed], scheduled))
    undone = next((call.undone for call in calls if call.undone), "")
    verdict, reason = _word(calls, causes), ""
    if verdict in (NO_DIFFERENCE, NO_EFFECT, NOT_FAITHFUL) and intended:
        verdict, reason = ALLOWED, intended
    elif verdict == NOT_FAITHFUL:
        reason = next(call.unfaithful for call in calls if call.unfaithful)
    return TaskVerdict(task=task, verdict=verdict, reason=reason, causes=causes, calls=len(calls), undone=undone)


def _word(calls: Sequence[AuditedCall], causes: Sequence[Cause]) -> str:
    levels = {cause.finding.level for cause in causes}
    if any(call.unfaithful for call in calls):
        return _worst(levels, NOT_FAITHFUL)
    return _worst(levels, NO_DIFFERENCE if any(call.effects for call in calls) else NO_EFFECT)


def _causes(calls: Iterable[AuditedCall], scheduled: bool) -> tuple[Cause, ...]:
    found: dict[tuple[str, str, str], Cause] = {}
    for call in calls:
        for finding in call.findings:
            mild = call.unfaithful or _goes_on(finding, call.task) or (scheduled and _is_mended_by_the_next(finding))
            if finding.level == "breaks" and mild:
                finding = replace(finding, level="look")
            known = found.get(finding.cause)
            if known is None:
                found[finding.cause] = Cause(finding=finding, tests=(call.test,))
            elif call.test not in known.tests:
                found[finding.cause] = replace(known, tests=(*known.tests, call.test))
    return tuple(sorted(found.values(), key=lambda cause: LEVELS.index(cause.finding.level)))


def _keyed(task: str, causes: Sequence[Cause]) -> tuple[Cause, ...]:
    keys = keys_of(task, [cause.finding for cause in causes])
    return tuple(replace(cause, key=key) for cause, key in zip(causes, keys, strict=True))


def _goes_on(finding: Finding, task: str) -> bool:
    """Whether a task does not enqueue itself any more: a second run that has nothing left to do has no need to."""
    return finding.kind == "lost-enqueue" and finding.of == task


def _is_mended_by_the_next(finding: Finding) -> bool:
    """Whether the next run of a task on a schedule makes up for it.

    A second run deletes what the next one would have taken; and where a lock keeps it out, the next one is not.
    """
    return finding.kind == "kept-out" or (finding.kind == "delete" and not finding.after)


def _forgive_enqueues(found: dict[str, TaskVerdict]) -> None:
    """To enqueue a task once more is as bad as that task is when it comes twice.

    A task that does nothing worse than to enqueue, itself or others of its kind, is as good as they are.
    """
    harmless = {task for task, verdict in found.items() if all(map(_is_at_most_an_enqueue, _told(verdict)))}
    harmless -= {task for task, verdict in found.items() if verdict.verdict in (NOT_FAITHFUL, NOT_AUDITED)}
    while worse := {task for task in harmless if any(not _enqueued(one) <= harmless for one in _told(found[task]))}:
        harmless -= worse
    for task, verdict in found.items():
        causes = tuple(_forgiven(cause, harmless, found) for cause in verdict.causes)
        if causes != verdict.causes:
            word = _worst({cause.finding.level for cause in causes}, NO_DIFFERENCE)
            found[task] = replace(verdict, causes=causes, verdict=word)


def _told(verdict: TaskVerdict) -> list[Finding]:
    return [cause.finding for cause in verdict.causes if cause.finding.level != "small"]


def _is_at_most_an_enqueue(finding: Finding) -> bool:
    return finding.kind == "enqueue"


def _enqueued(finding: Finding) -> set[str]:
    return set(finding.of.split(", "))  # of a workflow, all of its tasks


def _forgiven(cause: Cause, harmless: set[str], found: Mapping[str, TaskVerdict]) -> Cause:
    finding = cause.finding
    if finding.level == "small" or finding.kind != "enqueue" or not _enqueued(finding) <= harmless:
        return cause
    seen = any(found[task].verdict != NO_EFFECT for task in _enqueued(finding))
    text = f"{finding.text}, {'which takes it' if seen else 'of which no effect was seen'}"
    return replace(cause, finding=replace(finding, level="small", text=text))
