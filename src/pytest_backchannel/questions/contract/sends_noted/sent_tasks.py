"""Messages for tasks: what reaches ``send_task``, and what eager mode runs in place of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from inspect import signature
from types import FrameType
from typing import Any

from ....active import Replaced, Replacement
from ....events import OWN_FOLDER
from ...report.seen.around import around
from ..contents import TaskSend
from ..from_project import serializer_name
from .many_calls import calls_within
from .noted import NOT_KNOWN, noting

MOST_FRAMES = 60
"""How far up the sender of a message is looked for."""
# What stands between the line that sends and the message.
_ON_THE_WAY = ("celery", "kombu", "vine", "billiard")
# What of Celery sends by itself: the next step of a workflow, a retry, a beat entry.
_SENDS_ITSELF = ("celery.app.trace", "celery.worker", "celery.beat")


def install() -> None:
    """Watch from now on; Celery is loaded."""
    _celery.install()


def remove() -> None:
    """Watch no more."""
    _celery.remove()


def note_call(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Note one message for a registered task, if such a call can be made.

    Args:
        task: the task.
        args: its positional arguments.
        kwargs: its keyword arguments.
        options: those of ``apply_async``.
    """
    found = noting()
    if found is None:
        return
    if str(task.name).startswith("celery."):
        for name, inner in calls_within(str(task.name), kwargs):
            if (called := task.app.tasks.get(name)) is not None:
                note_call(called, inner, {}, options)
        return
    one = _of(str(task.name), args, kwargs, options, own_serializer=getattr(task, "serializer", None))
    if one not in found.tasks and _fits(task, args, kwargs):
        found.tasks.add(one)


def _of(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], own_serializer: object
) -> TaskSend:
    queue = options.get("queue")
    elsewhere = options.get("exchange") or options.get("routing_key")
    serializer = options.get("serializer")
    later = options.get("eta") is not None or options.get("countdown") is not None
    return TaskSend(
        task=name,
        args=len(args),
        kwargs=tuple(sorted(map(str, kwargs))),
        queue=str(getattr(queue, "name", queue)) if queue else NOT_KNOWN if elsewhere else "",
        # That of the settings of the tests is not said: production's counts.
        serializer=serializer_name(serializer) if serializer != own_serializer else "",
        headers=(*(["eta"] if later else []), *(["expires"] if options.get("expires") is not None else [])),
        run=True,
    )


def _fits(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature(task.run).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True


def sent_by_a_test(frame: FrameType | None, *, also: Sequence[str] = ()) -> bool:
    """Whether the line that sends stands in a test: only Celery and this plugin are between, and no worker and beat.

    Args:
        frame: of what was called.
        also: the packages that may be between, too.
    """
    found = noting()
    for _ in range(MOST_FRAMES):
        if frame is None or found is None:
            return False
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_SENDS_ITSELF):
            return False
        if module.partition(".")[0] not in (*_ON_THE_WAY, *also) and not frame.f_code.co_filename.startswith(
            OWN_FOLDER
        ):
            return found.is_test(frame.f_code.co_filename)
        frame = frame.f_back
    return False


def _apply_async(before: Any, task: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
    __tracebackhide__ = True
    # What is not eager reaches send_task().
    if noting() is not None and task.app.conf.task_always_eager and not sent_by_a_test(sys._getframe(1)):
        note_call(task, tuple(args or ()), dict(kwargs or {}), options)
    return before(task, args, kwargs, *more, **options)


def _apply(before: Any, step: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
    """In eager mode, each part of a workflow is applied; a worker would be sent a message."""
    __tracebackhide__ = True
    app = step.app
    if noting() is not None and app.conf.task_always_eager and not sent_by_a_test(sys._getframe(1)):
        merged_args, merged_kwargs, merged = step._merge(args, kwargs, options)
        task = app.tasks.get(step.task)
        if task is not None:
            note_call(task, tuple(merged_args or ()), dict(merged_kwargs or {}), merged)
    return before(step, args, kwargs, **options)


def _send_task(
    before: Any, app: Any, name: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any
) -> Any:
    __tracebackhide__ = True
    found = noting()
    if found is not None and not sent_by_a_test(sys._getframe(1)):
        given = dict(zip(("countdown", "eta"), more, strict=False)) | options
        task = app.tasks.get(str(name))
        if task is not None:
            note_call(task, tuple(args or ()), dict(kwargs or {}), given)
        elif not str(name).startswith("celery."):
            found.tasks.add(_of(str(name), tuple(args or ()), dict(kwargs or {}), given, None))
    return before(app, name, args, kwargs, *more, **options)


# --- private API: Signature._merge, seen on celery 5.5–5.7: the arguments of a signature with those of its call. A test
# --- of tests/unit/questions/test_sends_noted.py fails where it is another.


def _replacements() -> list[Replacement]:
    from celery import Celery
    from celery.app.task import Task
    from celery.canvas import Signature

    ours: list[tuple[Any, str, Any]] = [
        (Task, "apply_async", _apply_async),
        (Signature, "apply", _apply),
        (Celery, "send_task", _send_task),
    ]
    return [Replacement(owner, name, around(function)) for owner, name, function in ours]


_celery = Replaced("what is sent, for the contract", _replacements, of_the_run=True)

# --- end of private API
