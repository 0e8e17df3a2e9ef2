"""Workflows that code has built and not applied: a failure names them, since nothing else tells of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from celery import canvas

from ... import restoring
from ...events import OWN_FOLDER, Location, is_project_file, line_of
from .matching import names_of


class _Built(NamedTuple):
    workflow: Any
    where: Location


class Unapplied:
    """Watches which chains, groups and chords are built and applied, while a task queue stands; a context manager."""

    def __init__(self) -> None:
        self._built: list[_Built] = []
        self._applied: list[Any] = []
        self._stack = ExitStack()

    def __enter__(self) -> Unapplied:
        with ExitStack() as stack:
            for kind in _KINDS:
                for name, watched in (("__init__", self._building), ("apply_async", self._applying)):
                    stack.enter_context(restoring.replaced(kind, name, watched(vars(kind)[name])))
                stack.enter_context(restoring.replaced(kind, "apply", self._applying(vars(kind)["apply"])))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

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

    def _building(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def build(workflow: Any, *args: Any, **options: Any) -> None:
            original(workflow, *args, **options)
            where = _builder()
            if where is not None:
                self._built.append(_Built(workflow, where))

        return build

    def _applying(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply(workflow: Any, *args: Any, **options: Any) -> Any:
            self._applied.append(workflow)
            return original(workflow, *args, **options)

        return apply


# --- private API: celery.canvas._chain and _chord, celery 5.5–5.7: what chain(), chord() and the operator | make.

_KINDS: tuple[Any, ...] = (canvas._chain, canvas.group, canvas._chord)

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
