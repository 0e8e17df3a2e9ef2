"""Which effects of two runs differ: those that happen again, and those that never do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..audit_data import Effect, Finding
from ..stores.redis_commands import adds_up
from .noise import Noise, effect_key

# How much it matters that it happens once more, and that it never does.
_AGAIN = {"mail": "breaks", "http": "breaks", "enqueue": "look", "file": "look", "send": "small", "cache": "small"}
_NEVER = {"mail": "breaks", "http": "breaks", "enqueue": "breaks", "file": "look", "send": "small", "cache": "small"}
_NUMBERS = re.compile(r"\d+")
_KNOWN = ", which the other side takes twice"


def again(second: Iterable[Effect]) -> list[Finding]:
    """What a second delivery does once more, beside rows."""
    effects = list(second)
    anew = _saved_anew(effects)
    found = ((_finding(effect, count, "again"), effect.label in anew) for effect, count in _counted(effects))
    return _one_a_cause(replace(finding, level="small") if is_anew else finding for finding, is_anew in found)


def _saved_anew(effects: Iterable[Effect]) -> set[str]:
    """The effects of files that are deleted, and then saved under the same name: that is what they were before."""
    deleted, anew = dict[str, str](), set[str]()
    for effect in effects:
        what, _, name = effect.label.partition(" the file ")
        if effect.kind == "file" and what == "delete":
            deleted[name] = effect.label
        elif effect.kind == "file" and name in deleted:
            anew |= {deleted[name], effect.label}
    return anew


def differing(expected: Iterable[Effect], got: Iterable[Effect], noise: Noise) -> list[Finding]:
    """What happens more often, or less, than it should."""
    wanted, there = _by_key(expected), _by_key(got)
    extra, missing = _without_twins(
        Counter({key: len(all_) for key, all_ in wanted.items()}),
        Counter({key: len(all_) for key, all_ in there.items()}),
    )
    found = [_finding(there[key][-1], count, "twice") for key, count in extra.items() if key not in noise.effects]
    found += [_finding(wanted[key][-1], count, "never") for key, count in missing.items() if key not in noise.effects]
    return _one_a_cause(found)


def _one_a_cause(found: Iterable[Finding]) -> list[Finding]:
    """A loop that enqueues a task for each of its rows is told by the first, and by how many there are."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in found:
        alike.setdefault((finding.level, *finding.cause), []).append(finding)
    return [
        replace(first, text=f"{first.text}, and {len(others)} more like it") if others else first
        for first, *others in alike.values()
    ]


def _counted(effects: Iterable[Effect]) -> Iterator[tuple[Effect, int]]:
    for same in _by_key(effects).values():
        yield same[-1], len(same)


def _by_key(effects: Iterable[Effect]) -> dict[str, list[Effect]]:
    found: dict[str, list[Effect]] = {}
    for effect in effects:
        if effect.kind not in ("row", "commit"):
            found.setdefault(effect_key(effect), []).append(effect)
    return found


def _without_twins(wanted: Counter[str], there: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """What is over on each side; the same effect with another number, as a key from a sequence is, is the same."""
    extra, missing = there - wanted, wanted - there
    for key in list(missing.elements()):
        loose = _NUMBERS.sub("#", key)
        twin = next((other for other in extra.elements() if _NUMBERS.sub("#", other) == loose), None)
        if twin is not None:
            extra[twin] -= 1
            missing[key] -= 1
    return +extra, +missing


def _finding(effect: Effect, count: int, how: str) -> Finding:
    kind = effect.kind if how != "never" else f"lost-{effect.kind}"
    # To whom a line mails is no other cause, and neither is to which of a kind of groups it sends.
    of = effect.of or ("" if effect.where else effect_key(effect))
    of = _NUMBERS.sub("#", of) if effect.kind != "enqueue" else of
    times = f" ({count} ×)" if count > 1 else ""
    text = f"{how}: {effect.label}{times}" + (_KNOWN if effect.keyed and how != "never" else "")
    return Finding(level=_level(effect, how), kind=kind, text=text, where=effect.where, of=of)


def _level(effect: Effect, how: str) -> str:
    if how == "never":
        return "breaks" if effect.outward else "look" if adds_up(effect.of) else _NEVER.get(effect.kind, "small")
    if effect.keyed or (effect.kind == "enqueue" and not effect.of):
        return "small"  # the other side knows it by its key; or nobody knows what is enqueued
    if effect.label.startswith("cache.incr") or adds_up(effect.of):
        return "look"
    return "breaks" if effect.outward else _AGAIN.get(effect.kind, "small")
