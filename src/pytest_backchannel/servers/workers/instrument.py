"""Inside a worker process of a test: it reports what happens to each task, and carries out the faults of the test.

The reports are lines of JSON, appended to one file by the worker and its children; each is one write, so that they do
not mix. Signals of Celery say most of it; a wrapper around each task's ``run`` is the only place between the end of a
function and what Celery does about it.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import signal
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...events import caller
from ..publishing import published, queue_of
from .handler_reports import HandlerReports

BEFORE, AFTER = "before_body", "after_body"

_kept: list[Any] = []


def instrument(app: Any, events: str, faults: str) -> None:
    """Report into ``events``, and obey the files in the folder ``faults``.

    Args:
        app: the Celery app, before its worker starts.
        events: the file for the reports.
        faults: a folder; each file in it is one fault, removed by the task that it hits.
    """
    report = Reporter(events)
    TaskSignals(report).connect()
    handlers = HandlerReports(report, freeze)
    handlers.connect()
    _kept.append(handlers)
    publishing = published(lambda raw: report("published", raw=raw, queue=queue_of(raw, app), where=_where()))
    _kept.append(publishing)  # until the process ends: a context manager that is collected ends
    publishing.__enter__()
    for name, task in app.tasks.items():
        if not name.startswith("celery."):
            _wrap(task, report, Path(faults), handlers.body_raised)


class Reporter:
    """Appends one line for each call."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, kind: str, **values: Any) -> None:
        """Report one thing."""
        line = json.dumps({"kind": kind, "at": time.time(), **values}, default=repr)
        os.write(self._fd, line.encode() + b"\n")


class TaskSignals:
    """The receivers of Celery's signals: each reports what it is told.

    Args:
        report: takes the reports.
    """

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._main = os.getpid()

    def connect(self) -> None:
        """Connect them, for the life of the process."""
        from celery import signals

        for name in ("received", "prerun", "postrun", "failure", "revoked", "unknown", "rejected"):
            getattr(signals, f"task_{name}").connect(getattr(self, f"_{name}"), weak=False)

    def _received(self, request: Any = None, **_: Any) -> None:
        self._report(
            "received",
            id=request.id,
            task=request.name,
            retries=request.request_dict.get("retries") or 0,
            redelivered=bool(request.delivery_info.get("redelivered")),
        )

    def _prerun(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        # The arguments are in the message, which the test has.
        self._report("started", id=task_id, task=task.name, retries=task.request.retries, eta=task.request.eta)

    def _postrun(self, task_id: str = "", task: Any = None, retval: Any = None, state: str = "", **_: Any) -> None:
        ended: dict[str, Any] = {"id": task_id, "task": task.name, "retries": task.request.retries, "state": state}
        if state == "RETRY":
            exc = freeze(getattr(retval, "exc", None))
            self._report("ended", **ended, value=freeze(None), when=_moment(retval), exc=exc)
        else:
            self._report("ended", **ended, value=freeze(retval))

    def _failure(self, task_id: str = "", exception: Any = None, sender: Any = None, **_: Any) -> None:
        # In the worker's main process: the child has not said anything, or can't any more.
        if os.getpid() == self._main:
            self._settled(task_id, sender.name, "FAILURE", exception)

    def _revoked(
        self, sender: Any = None, request: Any = None, terminated: bool = False, expired: bool = False, **_: Any
    ) -> None:
        # The request is the worker's own, or the context of a task that was in a pool.
        reason = "expired" if expired else "terminated" if terminated else "revoked"
        self._settled(request.id, sender.name, "REVOKED", reason=reason)

    def _unknown(self, name: str = "", id: str = "", **_: Any) -> None:
        self._settled(id, name, "FAILURE", reason="no worker knows this task")

    def _rejected(self, message: Any = None, **_: Any) -> None:
        headers = getattr(message, "headers", None) or {}
        self._settled(headers.get("id", ""), headers.get("task", "?"), "REJECTED")

    def _settled(self, task_id: str, task: str, state: str, value: Any = None, **more: Any) -> None:
        """The worker is through with a message whose function has not ended."""
        self._report("settled", id=task_id, task=task, state=state, value=freeze(value), **more)


def _moment(retry: Any) -> float | None:
    """The seconds until a retry; None where it gives no time."""
    when = getattr(retry, "when", None)
    if when is None or isinstance(when, int | float):
        return when
    return float(when.timestamp() - time.time())


def freeze(value: Any) -> str:
    """A value as text, to be thawed by the test's own process; what can't be pickled goes as its repr."""
    from celery.utils.serialization import get_pickleable_exception

    if isinstance(value, BaseException):
        value = get_pickleable_exception(value)
    try:
        data = pickle.dumps(value)
        pickle.loads(data)
    except Exception:
        data = pickle.dumps(repr(value))
    return b64encode(data).decode()


def _where() -> list[Any] | None:
    found = caller(2)
    return None if found is None else [found.path, found.line, found.function]


# --- private API: Task.run as an attribute of the task, which the tracer calls (celery.app.trace.build_tracer), seen on
# --- celery 5.5–5.7: the one place before Celery knows that the function has ended.


def _wrap(task: Any, report: Reporter, faults: Path, raised: Callable[[str, BaseException], None]) -> None:
    run = task.run

    @functools.wraps(run)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if not task.request.called_directly:
            _fault(BEFORE, task, report, faults)
        try:
            return run(*args, **kwargs)
        except Exception as error:
            if not task.request.called_directly:
                raised(task.request.id, error)
            raise
        finally:
            if not task.request.called_directly:
                _fault(AFTER, task, report, faults)

    task.run = watched


# --- end of private API


def _fault(when: str, task: Any, report: Reporter, folder: Path) -> None:
    for file in sorted(folder.glob("*.json")):
        try:
            fault = json.loads(file.read_text())
            if fault["when"] != when or fault["task"] not in (None, task.name):
                continue
            file.unlink()  # who removes it has it
        except FileNotFoundError:
            continue
        report("fault", fault=fault["kind"], when=when, id=task.request.id, task=task.name)
        if fault["kind"] == "kill_worker":
            # Mid-task, and not in the moment of its beginning, when the worker may not have acknowledged it yet.
            time.sleep(0.2)
            os.killpg(os.getpgid(0), signal.SIGKILL)
        elif fault["kind"] == "lose_child":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            time.sleep(3600)  # until the worker's time limit kills this process
        return
