"""The story of a failed test as marks for the template: nested lists, written without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..model import Step
from .excerpts import Excerpt, Excerpts

DEEPEST = 24
"""How deep lists stand in each other: what goes deeper stands there side by side, since a browser has an end too."""


@dataclass(frozen=True)
class Mark:
    """The beginning of a step (with it), or the end of one and of the steps in it."""

    step: Step | None = None
    source: Excerpt | None = None
    inner: bool = False
    after: str = ""


def marks(steps: Sequence[Step], excerpts: Excerpts) -> Iterator[Mark]:
    """The steps in their order; a step with ``inner`` is followed by its own, and then by a mark without a step."""
    # An explicit stack: a chain of causes may be longer than Python's recursion limit.
    stack: list[tuple[Step | None, int]] = [(step, 1) for step in reversed(steps)]
    while stack:
        step, depth = stack.pop()
        if step is None:
            yield Mark()
            continue
        nested = bool(step.steps) and depth < DEEPEST
        yield Mark(step, excerpts.of(step.where), inner=nested, after=_after(step.at))
        if nested:
            stack.append((None, depth))
        stack += [(one, depth + nested) for one in reversed(step.steps)]


def _after(seconds: float) -> str:
    if seconds < 0.0005:
        return "0 s"
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"
