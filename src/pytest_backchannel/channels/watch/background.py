"""The tasks that a consumer starts by itself, with ``asyncio.create_task``: which crashed, and which it left running.

Nobody need await such a task. Its crash is then a line in a log, "Task exception was never retrieved", written when the
task is collected; and one that ``disconnect`` does not cancel lives on after its connection, in production for good.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from ...clock import patience
from ...errors import ClientDisconnected
from ...events import OWN_FOLDER, Location, Problem, current_log, definition_of
from . import kept_tasks
from .consumers import Opening, opening, record_crash


@dataclass(eq=False)
class _Started:
    """The tasks that one application started: those that run, held by nobody but the application; those that failed."""

    running: WeakSet[asyncio.Task[Any]] = field(default_factory=WeakSet[asyncio.Task[Any]])
    failed: list[asyncio.Task[Any]] = field(default_factory=list[asyncio.Task[Any]])
    # Kept from the beginning: asked of an eager task that has ended, get_coro() crashes Python 3.12.1.
    names: WeakKeyDictionary[asyncio.Task[Any], str] = field(default_factory=WeakKeyDictionary[asyncio.Task[Any], str])
    # Those that a line of the project's has made since a handler ended last.
    fresh: list[tuple[ref[asyncio.Task[Any]], Location]] = field(
        default_factory=list[tuple[ref[asyncio.Task[Any]], Location]]
    )

    def done(self, task: asyncio.Task[Any]) -> None:
        self.running.discard(task)
        if has_unseen_error(task):
            self.failed.append(task)


_started: WeakKeyDictionary[Opening, _Started] = WeakKeyDictionary()


def watch(found: Opening) -> None:
    """Know of the tasks that an application starts, from now on until it has ended; its own task is there already."""
    task = found.task
    if task is None:
        return
    loop = task.get_loop()
    factory = _factories.get(loop)
    if factory is None:
        factory = _factories[loop] = _Factory(loop.get_task_factory())
        loop.set_task_factory(factory)
    factory.users += 1
    task.add_done_callback(_unwatch)
    found.after_handler = functools.partial(_judge_fresh, ref(found))


def _unwatch(task: asyncio.Task[Any]) -> None:
    loop = task.get_loop()
    factory = _factories[loop]
    factory.users -= 1
    if not factory.users:
        del _factories[loop]
        # Where somebody has replaced it meanwhile, theirs is kept; if it calls ours, that makes the task all the same.
        if loop.get_task_factory() is factory:
            loop.set_task_factory(factory.previous)


class _Factory:
    """The task factory of a loop in which watched applications run: it makes the tasks that the loop would make."""

    def __init__(self, previous: Any) -> None:
        self.previous = previous
        self.users = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if self.previous is None:
            task: Any = asyncio.Task(coroutine, loop=loop, **options)
        else:
            task = self.previous(loop, coroutine, **options)
        context = options.get("context")
        starter = opening.get() if context is None else context.get(opening)
        file = getattr(getattr(coroutine, "cr_code", None), "co_filename", "")
        if starter is not None and self.users and not _is_plumbing(file):
            started = _started.get(starter)
            if started is None:
                started = _started[starter] = _Started()
            started.running.add(task)
            started.names[task] = _name_of(coroutine, task)
            task.add_done_callback(started.done)
            if (where := kept_tasks.made_at()) is not None:
                started.fresh.append((ref(task), where))
        return task


_factories: WeakKeyDictionary[asyncio.AbstractEventLoop, _Factory] = WeakKeyDictionary()


@functools.lru_cache(maxsize=1024)
def _is_plumbing(path: str) -> bool:
    """Whether the task is for Channels' dispatch, to receive, or for asgiref, to change threads: they await it too."""
    asgiref = os.path.dirname(str(import_module("asgiref").__file__))
    return path.startswith((OWN_FOLDER, asgiref + os.sep)) or path == import_module("channels.layers").__file__


def _judge_fresh(weak: ref[Opening]) -> None:
    """A handler has ended: tell of the tasks that it has made and that nobody keeps, of each line once a test."""
    found = weak()
    started = _started.get(found) if found is not None else None
    if found is None or started is None or not started.fresh:
        return
    fresh, started.fresh = started.fresh, []
    for weak_task, where in fresh:
        if kept_tasks.is_kept(weak_task):
            continue
        if any(told.slug == "task_not_kept" and told.where == where for told in current_log().of(Problem)):
            continue
        task = weak_task()
        name = started.names[task] if task is not None else "a task"
        current_log().problem(
            "task_not_kept",
            f"{found.name} ({found.path}) made a task of {name}, and nobody keeps it: an event loop has weak "
            "references only, so that the task may be collected before it ends; nothing awaits it, cancels it at the "
            "disconnect, or sees its error.\n"
            "Keep it (self.task = …, or self.tasks.add(task) and task.add_done_callback(self.tasks.discard)), and "
            "await or cancel it in disconnect().",
            where=where,
        )


# --- private API: asyncio.Task._log_traceback, seen on Python 3.11–3.13: whether anybody has retrieved what ended a
# task, without retrieving it ---


def has_unseen_error(task: asyncio.Task[Any]) -> bool:
    """Whether a task has ended with an exception that nobody has retrieved; asking retrieves nothing."""
    return task.done() and not task.cancelled() and bool(task._log_traceback)


def take_error(task: asyncio.Task[Any]) -> BaseException | None:
    """What ended a task, if nobody has retrieved it; from now on somebody has."""
    return task.exception() if has_unseen_error(task) else None


# --- end of private API ---


@dataclass(frozen=True)
class Crash:
    """A task that a consumer started has crashed, and nobody has awaited it.

    Attributes:
        error: the exception.
        name: the function that the task ran.
    """

    error: BaseException
    name: str


def take_crashes(found: Opening) -> Iterator[Crash]:
    """The crashes of tasks that an application started and nobody has seen; from now on they are seen.

    Left out is the error of a frame that came too late for its client: a task that ``disconnect`` cancels may have been
    about to send.
    """
    started = _started.get(found)
    if started is None:
        return
    failed, started.failed = started.failed, []
    for task in failed:
        error = take_error(task)
        if error is not None and not isinstance(error, ClientDisconnected):
            yield Crash(error, started.names[task])


def record(found: Opening, crash: Crash) -> None:
    """Make such a crash a part of the test's story."""
    record_crash(crash.error, found.name, found.path, crash.name.rpartition(".")[2])


@dataclass(frozen=True)
class Running:
    """A task that a consumer started and that still runs.

    Attributes:
        task: the task.
        name: the function that it runs.
        where: the definition of that function.
    """

    task: asyncio.Task[Any]
    name: str
    where: Location


def any_running(found: Opening) -> bool:
    """Whether a task that an application started still runs."""
    started = _started.get(found)
    return started is not None and any(not task.done() for task in tuple(started.running))


async def wait(found: Opening, timeout: float) -> None:
    """Wait until the tasks that an application started have ended, but no longer than ``timeout`` seconds."""
    started = _started.get(found)
    if started is not None and (tasks := tuple(started.running)):
        await patience.wait(tasks, timeout)


def take_running(found: Opening) -> Iterator[Running]:
    """The tasks of the project's own code that an application started and that still run, each once."""
    started = _started.get(found)
    if started is None:
        return
    for task in tuple(started.running):
        if not task.done() and (where := definition_of(getattr(task.get_coro(), "cr_code", None))) is not None:
            started.running.discard(task)
            yield Running(task, started.names[task], where)


def _name_of(coroutine: Any, task: asyncio.Task[Any]) -> str:
    name = getattr(coroutine, "__qualname__", task.get_name())
    return str(name).rpartition("<locals>.")[2]
