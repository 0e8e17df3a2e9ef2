"""From which lines of the project tasks are enqueued.

All lines on the way to the call count, and where ``on_commit`` has put it off, those on the way to that.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any

from ....active import Replaced, Replacement
from ....events import is_project_file
from ..facts import gathering, note
from .around import around

MOST_FRAMES = 200
"""How far up a call is followed."""

_registered: ContextVar[frozenset[str]] = ContextVar("pytest_backchannel_on_commit", default=frozenset())


def install() -> None:
    """Watch from now on; Celery and Django are loaded."""
    _celery.install()
    _django.install()


def remove() -> None:
    """Watch no more."""
    _django.remove()
    _celery.remove()


def _lines(frame: FrameType | None) -> set[str]:
    """The lines of the project's code that are on the stack, as ``file:line``."""
    found: set[str] = set()
    for _ in range(MOST_FRAMES):
        if frame is None:
            break
        if is_project_file(frame.f_code.co_filename):
            found.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return found


def _enqueued(name: str, frame: FrameType) -> None:
    subject = f"task:{name}"
    note(subject, "enqueued")
    for line in {*_lines(frame), *_registered.get()}:
        note(subject, "enqueued_at", line)


def _apply_async(before: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    if gathering():
        _enqueued(task.name, sys._getframe(1))
    return before(task, *args, **kwargs)


def _signature(before: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    if gathering():
        for line in _lines(sys._getframe(1)):
            note(f"task:{task.name}", "signed_at", line)
    return before(task, *args, **kwargs)


def _send_task(before: Any, app: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    if gathering():
        _enqueued(str(name), sys._getframe(1))
    return before(app, name, *args, **kwargs)


def _on_commit(original: Any, connection: Any, func: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    if not gathering() or not callable(func):
        return original(connection, func, *args, **kwargs)
    lines = frozenset(_lines(sys._getframe(1)))

    @functools.wraps(func)
    def with_its_lines() -> Any:
        __tracebackhide__ = True
        token = _registered.set(lines | _registered.get())
        try:
            return func()
        finally:
            _registered.reset(token)

    return original(connection, with_its_lines, *args, **kwargs)


def _for_celery() -> list[Replacement]:
    from celery import Celery
    from celery.app.task import Task

    ours: list[tuple[Any, str, Any]] = [
        (Task, "apply_async", _apply_async),
        (Task, "signature", _signature),
        (Celery, "send_task", _send_task),
    ]
    return [Replacement(owner, name, around(function)) for owner, name, function in ours]


def _for_django() -> list[Replacement]:
    from django.db.backends.base.base import BaseDatabaseWrapper

    return [Replacement(BaseDatabaseWrapper, "on_commit", around(_on_commit))]


_celery = Replaced("call sites of tasks for the report", _for_celery, of_the_run=True)
_django = Replaced("on_commit for the report", _for_django, of_the_run=True)
