"""Workflows that code has built and not applied: a failure names them, since nothing else tells of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from celery import canvas

from ... import restoring
from ...active import tracked
from ...events import OWN_FOLDER, Location, is_project_file, line_of
from ...restoring import Wrapper
from .matching import names_of


class _Built(NamedTuple):
    workflow: Any
    where: Location


class Unapplied:
    """Watches which chains, groups and chords are built and applied, while a task queue stands; a context manager."""

    def __init__(self) -> None:
        self._built: list[_Built] = []
        self._applied: list[Any] = []

    def __enter__(self) -> Unapplied:
        _watching.append(self)
        self._in_place: list[restoring.replaced] = []
        if len(_watching) == 1:
            self._put(_BUILDING)
        return self

    def _put(self, wrappers: Iterable[Wrapper]) -> None:
        for wrapper in wrappers:
            one = wrapper.in_place()
            one.__enter__()
            self._in_place.append(one)

    def __exit__(self, *error: object) -> None:
        for one in reversed(self._in_place):
            one.__exit__(*error)
        _watching.remove(self)

    def built(self, workflow: Any, where: Location) -> None:
        """A line of the project's code has built a workflow."""
        # Most tests build none, and none pays for the watching of what is applied.
        if len(self._in_place) == len(_BUILDING):
            self._put(_APPLYING)
        self._built.append(_Built(workflow, where))

    def applied(self, workflow: Any) -> None:
        """A workflow is applied."""
        self._applied.append(workflow)

    def told(self, expected: Any) -> list[str]:
        """The workflows with a task that were built and not applied, each line of code in a sentence.

        Args:
            expected: what the test asks for; a workflow that it has built for that is not meant.
        """
        wanted = _names(expected)
        asked = next((built.where for built in self._built if built.workflow is expected), None)
        applied = [_names(workflow) for workflow in self._applied]
        found: dict[Location, str] = {}
        for workflow, where in self._built:
            names = _names(workflow)
            # A copy may have been applied, or what it was made a part of.
            if not wanted or not wanted <= names or any(names <= others for others in applied):
                continue
            # The same function has built it for the assertion, or a part of that.
            if asked is not None and asked[::2] == where[::2]:
                continue
            # The last of a line is the whole of it: a | b | c makes a chain of the first two, too.
            kind = str(workflow.get("subtask_type"))
            found[where] = (
                f"A {kind} with {', '.join(sorted(wanted))} was built and not applied [{where}]: nothing of it is "
                "enqueued before its .delay() or .apply_async() is called."
            )
        return list(found.values())


_watching: list[Unapplied] = tracked("watched workflows", [])


# --- private API: celery.canvas._chain and _chord, celery 5.5–5.7: what chain(), chord() and the operator | make.


def _building(before: Callable[..., Any]) -> Callable[..., Any]:
    def build(workflow: Any, *args: Any, **options: Any) -> None:
        before(workflow, *args, **options)
        where = _builder() if _watching else None
        if where is not None:
            for watching in _watching:
                watching.built(workflow, where)

    return build


def _applying(before: Callable[..., Any]) -> Callable[..., Any]:
    def apply(workflow: Any, *args: Any, **options: Any) -> Any:
        for watching in _watching:
            watching.applied(workflow)
        return before(workflow, *args, **options)

    return apply


_KINDS: tuple[Any, ...] = (canvas._chain, canvas.group, canvas._chord)
_BUILDING = [Wrapper(kind, "__init__", _building) for kind in _KINDS]
_APPLYING = [Wrapper(kind, name, _applying) for kind in _KINDS for name in ("apply_async", "apply")]

# --- end of private API

# Through these goes each call that is watched.
_PASSING = (__file__, restoring.__file__)


def _builder() -> Location | None:
    """The line of the project's code that builds it; None where a worker does, of a message."""
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if is_project_file(path):
            return line_of(frame)
        if path.startswith(OWN_FOLDER) and path not in _PASSING:
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _names(workflow: Any) -> set[str]:
    try:
        return names_of(workflow)
    except Exception:  # half a workflow, such as a chord without its callback, is no reason to fail otherwise
        return set()
