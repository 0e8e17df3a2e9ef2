"""Which bodies of tasks run, in which way and with what outcome; which retry, and which of their hooks are called.

A wrapper stands around ``run`` of each registered task, on the task itself: it is what Celery's tracer calls, eagerly
and in a worker, and what a call of the task as a function ends in. How it was called is in the task's own request:
Celery pushes one before it calls, and says in it whether it was called directly or eagerly.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ....active import Replaced, Replacement, tracked
from ..facts import gathering, note
from .around import around

HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


def subject(task: Any) -> str:
    """What a task is called in facts."""
    return f"task:{task.name}"


class Bodies:
    """Watches all tasks of the process, from :meth:`install` to :meth:`remove`; those that are made later, too.

    Attributes:
        hooks: which hooks of a task are watched.
    """

    hooks: tuple[str, ...] = HOOKS

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._known: dict[int, Any] = {}
        self._hooked: set[tuple[type, str]] = set()

    def install(self) -> None:
        """Watch from now on; Celery is loaded."""
        _adopters.append(self)
        _replaced.install()
        self.look()

    def look(self) -> None:
        """Watch the tasks that are there by now, in whichever way they came."""
        import celery._state

        state: Any = celery._state
        for app in list(state._get_active_apps()):
            # Not app.tasks, which would finalize an app that is not complete yet.
            for task in list(app._tasks.values()):
                self.adopt(task)

    def remove(self) -> None:
        """Watch no more, and leave all as it was."""
        _adopters.remove(self)
        _replaced.remove()
        while self._undo:
            self._undo.pop()()
        self._known.clear()
        self._hooked.clear()

    def adopt(self, task: Any) -> None:
        """Watch one task."""
        if id(task) in self._known or task.name.startswith("celery."):
            return
        self._known[id(task)] = task
        self._wrap_run(task)
        for hook in self.hooks:
            self._wrap_hook(type(task), hook)

    def watched(self, task: Any, before: Callable[..., Any]) -> Callable[..., Any]:
        """What stands in the place of a task's body."""
        return _watched(task, before)

    def _wrap_run(self, task: Any) -> None:
        own, before = "run" in vars(task), task.run
        watched = vars(task)["run"] = self.watched(task, before)

        def undo() -> None:
            if vars(task).get("run") is watched:
                if own:
                    vars(task)["run"] = before
                else:
                    del vars(task)["run"]

        self._undo.append(undo)

    def _wrap_hook(self, task_class: type, hook: str) -> None:
        owner = overriding(task_class, hook)
        if owner is None or (owner, hook) in self._hooked:
            return
        self._hooked.add((owner, hook))
        before = vars(owner)[hook]
        if not inspect.isfunction(before):
            return

        @functools.wraps(before)
        def watched(task: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            note(subject(task), f"hook:{hook}")
            return before(task, *args, **kwargs)

        setattr(owner, hook, watched)

        def undo() -> None:
            if vars(owner).get(hook) is watched:
                setattr(owner, hook, before)

        self._undo.append(undo)


def overriding(task_class: type, hook: str) -> type | None:
    """The class that overrides a hook of Celery's; None where Celery's own, which does nothing, is in force."""
    owner = next((base for base in task_class.__mro__ if hook in vars(base)), None)
    return None if owner is None or owner.__module__.partition(".")[0] == "celery" else owner


def _watched(task: Any, before: Callable[..., Any]) -> Callable[..., Any]:
    from celery.exceptions import Ignore, Reject, Retry

    name = subject(task)

    @functools.wraps(before)
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not gathering():
            return before(*args, **kwargs)
        note(name, _way(task))
        nested = _calls_errbacks.set(False) if _calls_errbacks.get() else None
        try:
            result = before(*args, **kwargs)
        except Reject:
            note(name, "rejected")
            raise
        except (Retry, Ignore):  # the first is noted where the task asks for it
            raise
        except Exception:
            note(name, "failed")
            raise
        finally:
            if nested is not None:
                _calls_errbacks.reset(nested)
        note(name, "succeeded")
        return result

    return run


# --- private API: celery.app.task.Task.request_stack, celery.app.base.add_autoretry_behaviour and
# --- celery.backends.base.Backend._call_task_errbacks, seen on celery 5.5–5.7. tests/unit/questions/test_bodies.py
# --- fails where they are built differently.


def _way(task: Any) -> str:
    """How a body was called: as a function, as an errback, eagerly, by the stepped worker, or by one in a thread."""
    requests = task.request_stack.stack
    request = requests[-1] if requests else None
    if request is not None and request.called_directly and len(requests) > 1 and _has_own_call(task):
        # Celery calls a task that overrides __call__ itself, whose own __call__ then looks like a call of a function.
        request = requests[-2]
    if request is None or request.called_directly:
        return "errback" if _calls_errbacks.get() else "function"
    if request.is_eager:
        return "eager"
    stepped: Any = sys.modules.get("pytest_backchannel.tasks.stepped.installation")
    return "stepped" if stepped is not None and stepped.is_installed(task.app) else "thread"


def _has_own_call(task: Any) -> bool:
    return overriding(type(task), "__call__") is not None


_adopters: list[Bodies] = tracked("watches of tasks for the report", [], of_the_run=True)


def _add_autoretry_behaviour(before: Any, task: Any, **options: Any) -> None:
    """In the place of what Celery calls last for each task that it makes: so ours stands around its retries."""
    before(task, **options)
    for bodies in _adopters:
        bodies.adopt(task)


def _retry(original: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
    """In the place of ``Task.retry``: whether it retries, or has no retry left, is decided there alone."""
    __tracebackhide__ = True
    from celery.exceptions import Retry

    request = task.request
    if request.called_directly:  # it raises what has happened, and retries nothing
        return original(task, *args, **kwargs)
    limit = kwargs.get("max_retries")
    limit = task.max_retries if limit is None else limit
    is_last = limit is not None and request.retries + 1 > limit
    try:
        result = original(task, *args, **kwargs)
    except Retry:
        note(subject(task), "retried")
        raise
    except BaseException:
        if is_last:
            note(subject(task), "exhausted")
        raise
    note(subject(task), "retried")  # throw=False
    return result


_calls_errbacks: ContextVar[bool] = ContextVar("pytest_backchannel_calls_errbacks", default=False)


def _call_task_errbacks(original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    """Where Celery calls an errback that takes the failed request: as a function, and yet it is Celery that calls."""
    token = _calls_errbacks.set(True)
    try:
        return original(backend, *args, **kwargs)
    finally:
        _calls_errbacks.reset(token)


def _replacements() -> list[Replacement]:
    from celery.app import base
    from celery.app.task import Task
    from celery.backends.base import Backend

    ours: list[tuple[Any, str, Any]] = [
        (base, "add_autoretry_behaviour", _add_autoretry_behaviour),
        (Task, "retry", _retry),
        (Backend, "_call_task_errbacks", _call_task_errbacks),
    ]
    return [Replacement(owner, name, around(function)) for owner, name, function in ours]


_replaced = Replaced("bodies of tasks for the report", _replacements, of_the_run=True)


# --- end of private API


_bodies: list[Bodies] = []


def install() -> None:
    """Watch the tasks of this process from now on."""
    _bodies.append(Bodies())
    _bodies[-1].install()


def remove() -> None:
    """Watch them no more, and leave all as it was."""
    _bodies.pop().remove()
