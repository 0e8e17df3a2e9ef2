"""Tasks that are enqueued inside ``transaction.atomic()``, where they should wait for the commit."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ...active import Replaced, Replacement, Slot, Together
from ...events import Location, caller, current_log
from ..sharing import current_sharing, in_code_transaction

# Within an enqueuing that has been told: what it enqueues in its turn, as a workflow does, is the same problem.
_told: ContextVar[bool] = ContextVar("pytest_backchannel_enqueue_told", default=False)


def begin() -> Lines | None:
    """From now on, record ``enqueued_in_transaction`` for each task that Celery enqueues inside an atomic block.

    It sees ``.delay()``, ``apply_async``, ``send_task``, chain, group and chord, also where Celery is eager. Not told
    are callbacks of ``on_commit`` (and so ``delay_on_commit``), which run after the block; and a retry, whose
    exception rolls the block back. One line that enqueues one task often is told once.

    No context manager: it stands around every test of a project with Celery and Django.

    Returns:
        What to :func:`end` it with.
    """
    before, _seen.value = _seen.value, set()
    _around.install()
    return before


def end(before: Lines | None) -> None:
    """Record them no more.

    Args:
        before: what :func:`begin` has returned.
    """
    _seen.value = before
    _around.remove()


# The lines that were told, while somebody watches.
Lines = set[tuple[str, Location | None]]
_seen = Slot[Lines]("watch of enqueues")


def within_told() -> bool:
    """Whether what runs now is part of an enqueuing that was told, as an eager task is."""
    return _told.get()


def entered_at() -> str:
    """Where the code has entered the block that the current thread is in, for a message; empty where it isn't known."""
    sharing = current_sharing()
    shared = sharing.shared.values() if sharing else ()
    lines = [connection.lock.entered for connection in shared if connection.in_code_transaction]
    return next((f" (entered at {line})" for line in lines if line), "")


def _tell(name: str, seen: Lines, task: Any = None) -> None:
    where = caller()
    if (name, where) in seen:
        return
    seen.add((name, where))
    current_log().problem(
        "enqueued_in_transaction",
        f"{name} was enqueued inside transaction.atomic(){entered_at()}, before the commit: a worker may run it before "
        "the rows are there, and a rollback does not take it back.\n"
        f"Enqueue it {_later(task)}transaction.on_commit(...).",
        where=where,
    )


def _later(task: Any) -> str:
    # Celery gives it to the tasks of an app with its own class for Django (DJANGO_SETTINGS_MODULE, no task_cls).
    return "with delay_on_commit(...), or from " if hasattr(task, "delay_on_commit") else "from "


# --- private API: celery.canvas._chain and _chord, celery 5.5–5.7 --------------------------------------------------
# Task.apply_async and Celery.send_task are public. An eager chain, group or chord runs its tasks without either, so
# their own apply_async is watched too, on the classes that define it.


def _entrances() -> list[Replacement]:
    from celery import Celery, canvas
    from celery.app.task import Task

    apply_async = functools.partial(_watched, "apply_async")
    owners: list[Any] = [Task, *(getattr(canvas, name) for name in ("_chain", "group", "_chord"))]
    send_task = Replacement(Celery, "send_task", functools.partial(_watched, "send_task"))
    return [*(Replacement(owner, "apply_async", apply_async) for owner in owners), send_task]


_entered = Replaced("entrances of Celery", _entrances)
_around = Together(_entered)


def _watched(method: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def enqueue(self: Any, *args: Any, **options: Any) -> Any:
        seen = _seen.value
        if seen is None or _told.get() or options.get("retries") or not _entered.rules(enqueue):
            return original(self, *args, **options)
        if not in_code_transaction():
            return original(self, *args, **options)
        _tell(_name(self, method, args, options), seen, self)
        token = _told.set(True)
        try:
            return original(self, *args, **options)
        finally:
            _told.reset(token)

    return enqueue


def _name(enqueuer: Any, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> str:
    """What is enqueued: the task's name; a workflow's kind and the names in it. No arguments: a repr may query."""
    if method == "send_task":
        return str(args[0] if args else options.get("name"))
    tasks = getattr(enqueuer, "tasks", None)
    if tasks is None:
        return str(enqueuer.name)
    with contextlib.suppress(TypeError):  # a generator of tasks is left alone
        names = ", ".join(str(task.get("task", "?")) for task in tasks[:5])
        more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
        return f"the {type(enqueuer).__name__.strip('_')} of {names}{more}"
    return f"a {type(enqueuer).__name__.strip('_')}"
