"""Enqueues: no message leaves a shadow, and no task runs in it but the one that is audited."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from unittest.mock import NonCallableMock

from ..shadows import told_parent
from .call_words import arguments_text
from .effect_log import note

# --- private API: celery.canvas._chain and _chord, and the ways to publish of Task.retry and Task.replace, seen on
# --- celery 5.5–5.7.
# --- tests/plugin/audit/test_effects_of_bodies.py fails where they are built differently.


def install() -> None:
    """Note what is enqueued in this process from now on, and publish nothing."""
    from celery import Celery, canvas
    from celery.app.task import Task

    Task.apply_async = _apply_async
    Celery.send_task = _send_task
    canvas.Signature.apply_async = _signature
    for name in ("_chain", "group", "_chord"):
        getattr(canvas, name).apply_async = _workflow
    Task.retry = _retry
    Task.replace = _replace
    Task.update_state = lambda *args, **kwargs: None
    Task.send_event = lambda *args, **kwargs: None


# --- end of private API


def _apply_async(task: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
    return _enqueued(task.name, args, kwargs)


def _send_task(app: Any, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
    return _enqueued(name, args, kwargs)


def _signature(signature: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
    given = (*(args or ()), *(signature.get("args") or ()))
    return _enqueued(str(signature.get("task")), given, {**(signature.get("kwargs") or {}), **(kwargs or {})})


def _workflow(workflow: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
    names = list(_names(workflow))
    return _enqueued(
        f"{type(workflow).__name__.strip('_')} of {_shown(names)}", args, None, of=", ".join(sorted({*names}))
    )


def _shown(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")


def _names(signature: Any) -> Iterator[str]:
    """The tasks of a workflow, of those in it, and of the body of a chord."""
    tasks = getattr(signature, "tasks", None)
    if tasks is None:
        yield str(signature.get("task", "?"))
    for task in tasks if isinstance(tasks, list | tuple) else ():
        yield from _names(task)
    body = getattr(signature, "body", None)
    if body is not None:
        yield from _names(body)


def _enqueued(name: str, args: Any, kwargs: Any, of: str = "") -> Any:
    from celery.result import AsyncResult

    class Unknown(AsyncResult):
        """The result of what never runs."""

        def get(self, *args: Any, **kwargs: Any) -> Any:
            told_parent.refuse("it waits for the result of another task")

    note("enqueue", f"enqueue {name}({arguments_text(args or (), kwargs or {})})", of=of or name)
    return Unknown(str(uuid.uuid4()))


def _replace(task: Any, sig: Any) -> Any:
    """What the task puts in its place is enqueued, and its own body ends with that (celery/app/task.py, 5.5–5.7)."""
    from celery.exceptions import Ignore

    if isinstance(sig, NonCallableMock):
        note("enqueue", "enqueue what a mock stands for, in the task's place")
    else:
        names = list(_names(sig))
        note("enqueue", f"enqueue {_shown(names)} in the task's place", of=", ".join(sorted({*names})))
    raise Ignore("Replaced by new task")


def _retry(task: Any, *args: Any, **kwargs: Any) -> Any:
    told_parent.refuse("it asks for a retry")
