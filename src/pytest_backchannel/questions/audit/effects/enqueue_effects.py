"""Enqueues: no message leaves a shadow, and no task runs in it but the one that is audited."""

from __future__ import annotations

import uuid
from typing import Any

from ..shadows import told_parent
from .call_words import arguments_text
from .effect_log import note

# --- private API: celery.canvas._chain and _chord, and Task.retry's way to publish, seen on celery 5.5–5.7.
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
    try:
        names = [str(task.get("task", "?")) for task in list(workflow.tasks)]
    except (AttributeError, TypeError):
        names = []
    return _enqueued(f"{type(workflow).__name__.strip('_')} of {', '.join(names[:4])}", args, kwargs)


def _enqueued(name: str, args: Any, kwargs: Any) -> Any:
    from celery.result import AsyncResult

    class Unknown(AsyncResult):
        """The result of what never runs."""

        def get(self, *args: Any, **kwargs: Any) -> Any:
            told_parent.give_up("it waits for the result of another task")

    note("enqueue", f"enqueue {name}({arguments_text(args or (), kwargs or {})})", of=name)
    return Unknown(str(uuid.uuid4()))


def _retry(task: Any, *args: Any, **kwargs: Any) -> Any:
    told_parent.give_up("it asks for a retry")
