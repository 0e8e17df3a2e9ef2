"""Mocks in the place of a task, or of what enqueues it: what was called, and whether such a call could have been made.

A patch is looked at when it ends, since it has been called by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock
from unittest.mock import NonCallableMock

from ....masking import masked
from ... import ended_patches
from ...mocked_enqueues import ENQUEUING, enqueuing_mocks, task_of
from ..facts import gathering, note


def install() -> None:
    """Look at patches from now on; Celery is loaded."""
    ended_patches.watch(look_at, gathering)


def remove() -> None:
    """Look at them no more."""
    ended_patches.forget(look_at)


def look_at(target: Any, attribute: str, stands_there: Any, original: Any) -> None:
    """Note what was done with what stands in the place of a task, or of one of its methods.

    Args:
        target: whose attribute is replaced.
        attribute: its name.
        stands_there: what stands there; only a Mock tells what it was called with.
        original: what stood there before.
    """
    mocks = list(enqueuing_mocks(target, attribute, stands_there, original))
    for task, method, stand_in in mocks:
        _look(task, method, stand_in)
    if not mocks and attribute in ENQUEUING and (task := task_of(target)) is not None:
        note(f"task:{task.name}", "replaced")


def _look(task: Any, method: str, stands_there: NonCallableMock) -> None:
    subject = f"task:{task.name}"
    calls = getattr(stands_there, "call_args_list", [])
    if not calls:
        return
    note(subject, "mocked", method)
    for args, kwargs in (_arguments(method, call) for call in calls):
        for text in _misfits(task, args, kwargs):
            note(subject, "misfit", masked(text))


def _arguments(method: str, call: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the task in the recorded call of one of its methods."""
    if not method.startswith("apply_async"):
        return tuple(call.args), dict(call.kwargs)
    given = dict(zip(("args", "kwargs"), call.args, strict=False)) | dict(call.kwargs)
    args, kwargs = given.get("args"), given.get("kwargs")
    if not isinstance(args, list | tuple | None) or not isinstance(kwargs, dict | None):
        return (mock.ANY,), {}  # nothing can be said of it
    return tuple(args or ()), dict(kwargs or {})


def _misfits(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
    """Why the call could not have been made."""
    from ....errors import NotSerialisable
    from ....tasks.expect.messages import call_text
    from ....tasks.serialising import carry_arguments

    values = (*args, *kwargs.values())
    header = getattr(task, "__header__", None)
    if header is not None and getattr(task, "typing", False) and not any(value is mock.ANY for value in args):
        try:
            header(*args, **kwargs)
        except TypeError as error:
            yield f"{call_text(task.name, args, kwargs)} does not fit its signature: {error}"
            return
    # A value that the test has made up says nothing of what the code would send.
    if any(_is_made_up(value) for value in values) or getattr(task, "_dump_pydantic_arguments", None) is not None:
        return
    try:
        carry_arguments(task, args, kwargs, None)
    except NotSerialisable as error:
        yield str(error).splitlines()[0]


def _is_made_up(value: Any) -> bool:
    if isinstance(value, NonCallableMock) or value is mock.ANY:
        return True
    if isinstance(value, dict):
        return any(_is_made_up(inner) for inner in value.values())
    return isinstance(value, list | tuple | set) and any(_is_made_up(inner) for inner in value)
