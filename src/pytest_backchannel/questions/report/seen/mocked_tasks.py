"""Mocks in the place of a task, or of what enqueues it: what was called, and whether such a call could have been made.

A patch is looked at when it ends, since it has been called by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any
from unittest import mock
from unittest.mock import NonCallableMock

from ....active import Replaced, Replacement
from ....masking import masked
from ..facts import gathering, note
from .around import around

ENQUEUING = ("delay", "apply_async", "delay_on_commit", "apply_async_on_commit")
"""The methods of a task that enqueue it."""


def install() -> None:
    """Look at patches from now on; Celery is loaded."""
    _patches.install()


def remove() -> None:
    """Look at them no more."""
    _patches.remove()


def look_at(target: Any, attribute: str, stands_there: Any, original: Any) -> None:
    """Note what was done with what stands in the place of a task, or of one of its methods.

    Args:
        target: whose attribute is replaced.
        attribute: its name.
        stands_there: what stands there; only a Mock tells what it was called with.
        original: what stood there before.
    """
    task = _task(target)
    if task is not None and attribute in ENQUEUING:
        _look(task, attribute, stands_there)
    elif (task := _task(original)) is not None:
        children = vars(stands_there).get("_mock_children", {}) if isinstance(stands_there, NonCallableMock) else {}
        for method in ENQUEUING:
            if method in children:
                _look(task, method, children[method])


def _task(value: Any) -> Any:
    """The task that a value is, or stands for; None for what is none."""
    from celery.app.task import Task

    try:
        if not isinstance(value, Task) or isinstance(value, NonCallableMock):
            return None
        _ = value.name
        return value
    except Exception:  # a lazy object of the project's that can't be looked at here
        return None


def _look(task: Any, method: str, stands_there: Any) -> None:
    subject = f"task:{task.name}"
    if isinstance(stands_there, FunctionType):
        stands_there = getattr(stands_there, "mock", stands_there)  # of autospec=True: a function that has its Mock
    if not isinstance(stands_there, NonCallableMock):
        note(subject, "replaced")
        return
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


# --- private API: unittest.mock._patch.__exit__ and its attributes target, attribute and temp_original, seen on Python
# --- 3.11–3.14: what ends a patch, however it was begun. pytest-mock ends its patches by the same way.
# --- tests/unit/questions/test_mocked_tasks.py fails where it is built differently.

_MISSING = object()


def _exit(before: Any, patch: Any, *exc_info: Any) -> Any:
    if gathering() and getattr(patch, "is_started", True):
        target, original = getattr(patch, "target", None), getattr(patch, "temp_original", None)
        attribute = getattr(patch, "attribute", None)
        if isinstance(attribute, str):
            # Not by getattr(), which might call code of the project's.
            there = vars(target).get(attribute, _MISSING) if hasattr(target, "__dict__") else _MISSING
            if there is not _MISSING:
                look_at(target, attribute, there, original)
    return before(patch, *exc_info)


def _replacements() -> list[Replacement]:
    patch_class: Any = getattr(mock, "_patch")  # noqa: B009  (the type stubs know it as a generic class)
    return [Replacement(patch_class, "__exit__", around(_exit))]


_patches = Replaced("patches for the report", _replacements, of_the_run=True)

# --- end of private API
