"""The findings about one call of a task: of its second delivery, and of its deaths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..audit_data import LEVELS, BodyRun, Effect, Finding
from .effect_changes import again, differing
from .noise import Noise
from .row_changes import DEATH, SECOND, row_changes


def death_points(effects: Sequence[Effect], most: int) -> list[int]:
    """After which effects, counted from 1, a death is worth a try: those that it does not take back.

    A row inside of a transaction is gone with it: such a death is the same as one before the transaction. A death after
    the last effect is the same as a second delivery.
    """
    points = [
        number
        for number, effect in enumerate(effects[:-1], 1)
        if not effect.open and (effect.kind != "mock" or effect.outward)
    ]
    if len(points) <= most:
        return points
    step = len(points) / most
    return sorted({points[int(at * step)] for at in range(most)})


def of_second_delivery(first: BodyRun, second: BodyRun, noise: Noise) -> list[Finding]:
    """What the same message does when it comes again, after the first one was done."""
    before = {**second.before, **first.after}
    found = again(second.effects)
    found += row_changes(
        before, {**before, **second.after}, before, noise, SECOND, left_alone=_left_alone(first, second)
    )
    if second.error:
        level = "look" if any(finding.level != "small" for finding in found) else "small"
        found.append(Finding(level=level, kind="raises", text=f"raises {second.error}"))
    return _placed(found, second.effects)


def of_death(
    clean: BodyRun, dead: Sequence[Effect], redelivered: BodyRun, noise: Noise, known: Iterable[Finding]
) -> list[Finding]:
    """What is otherwise after a death and the message that comes again.

    Args:
        clean: the run in which nobody dies.
        dead: the effects up to the death.
        redelivered: the run of the message that came again.
        noise: what is not looked at.
        known: what a plain second delivery does: it is told there.
    """
    after, before = dead[-1], clean.effects[len(dead)] if len(dead) < len(clean.effects) else None
    base = {**redelivered.before, **clean.before}
    done = [*dead, *redelivered.effects]
    found = differing(clean.effects, done, noise)
    found += row_changes(clean.after, redelivered.after, base, noise, DEATH, on_demand=_made_on_demand(clean.effects))
    if redelivered.error:
        found.append(
            Finding(level="look", kind="raises", text=f"the message that comes again raises {redelivered.error}")
        )
    levels = {finding.level for finding in found} - {"small"}
    if levels and _is_kept_out(dead, redelivered):
        text = "the message that comes again does nothing"
        text += f", but raises {redelivered.error}" if redelivered.error else ""
        found = [Finding(level=min(levels, key=LEVELS.index), kind="kept-out", text=text, of=dead[0].of)]
    told = {(finding.kind, finding.of) for finding in known}
    return [
        replace(
            finding,
            after=effect_place(after),
            before="" if before is None else effect_place(before),
            before_write=0 if before is None else before.write,
        )
        for finding in _placed(found, [*clean.effects, *done])
        if (finding.kind, finding.of) not in told
    ]


def _left_alone(first: BodyRun, second: BodyRun) -> dict[str, set[str]]:
    """The rows that the first delivery did not change, by their tables; none of a table that it changed nowhere."""
    found: dict[str, set[str]] = {}
    for table in second.after:
        if table in first.after:
            before, after = first.before[table].rows, first.after[table].rows
            same = {key for key in after if before.get(key) == after[key]}
            if len(same) < len({*before, *after}):
                found[table] = same
    return found


def _made_on_demand(effects: Iterable[Effect]) -> set[str]:
    """The tables all of whose new rows ``get_or_create()`` has made."""
    made = [effect for effect in effects if effect.kind == "row" and effect.label.startswith("INSERT")]
    return {effect.of for effect in made} - {effect.of for effect in made if not effect.on_demand}


def _is_kept_out(dead: Sequence[Effect], redelivered: BodyRun) -> bool:
    """Whether it began with a lock or a mark in a cache, and the message that comes again does nothing at all."""
    return not redelivered.effects and dead[0].kind == "cache"


def of_hanging(clean: BodyRun, effect: int, where: str) -> Finding:
    """The message that comes again does not end."""
    following = clean.effects[effect] if effect < len(clean.effects) else None
    return Finding(
        level="look",
        kind="hangs",
        text="the message that comes again does not end" + (f": it waits at {where}" if where else ""),
        where=where,
        after=effect_place(clean.effects[effect - 1]),
        before="" if following is None else effect_place(following),
    )


def left_undone(effects: Sequence[Effect]) -> str:
    """What a death leaves undone where the message does not come again; empty where it leaves nothing half done."""
    points = death_points(effects, len(effects))
    if not points:
        return ""
    point = points[0]
    return f"{effect_place(effects[point - 1])}, and not {effect_place(effects[point])}"


def effect_place(effect: Effect) -> str:
    """An effect with its line."""
    return f"{effect.label} ({effect.where})" if effect.where else effect.label


def _placed(found: Iterable[Finding], effects: Sequence[Effect]) -> list[Finding]:
    """Each with the line that wrote the table last, where it has none."""
    placed = []
    for finding in found:
        table = finding.of.partition(".")[0]
        line = next((effect.where for effect in reversed(effects) if effect.kind == "row" and effect.of == table), "")
        placed.append(replace(finding, where=finding.where or line))
    return placed
