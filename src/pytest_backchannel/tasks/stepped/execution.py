"""Calls the function of one task as a pool would, with its faults, and takes down what came of it."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import signals
from celery.app.trace import task_has_custom
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.serialization import UnpickleableExceptionWrapper

from ...clock.virtual import active_clock
from ...errors import AsyncTaskFunction
from ...events import Location, caused_by, is_project_file
from ..expect.matching import failing_import, near_names
from ..expect.messages import call_text
from ..outcomes import Outcome, TaskFailure, TaskRetry, TaskSuccess
from ..records import BodyEnded, BodyStarted, ChildLost
from .broker import Broker, StoredMessage
from .faults import BEFORE, ChildDied, Fault, OverTime, WorkerDied, exit_reason, lost_child
from .recorder import MessageHistory, Recorder
from .worker import SteppedWorker, pid


class Execution:
    """Runs the functions of the tasks of one queue, and keeps their outcomes.

    Args:
        app: the Celery app.
        recorder: takes down what happens.
        broker: the simulated broker.

    Attributes:
        outcomes: what came of each delivery, in order.
        faults: what is to go wrong, for the next tasks that they fit.
        worker: the worker whose request runs now.
        message: the message of the request that runs now.
    """

    def __init__(self, app: Any, recorder: Recorder, broker: Broker) -> None:
        self.app = app
        self.recorder = recorder
        self.broker = broker
        self.outcomes: list[Outcome] = []
        self.faults: deque[Fault] = deque()
        self.worker: SteppedWorker | None = None
        self.message: StoredMessage | None = None
        self._result: Any = None
        self._raised: BaseException | None = None
        self._fault: Fault | None = None
        self._failed: set[str] = set()
        recorder.boundary = self.execute.__func__.__code__  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------ signals

    def connect(self) -> None:
        """Listen to what Celery tells of tasks."""
        for signal, receiver in self._receivers():
            signal.connect(receiver, weak=False)

    def disconnect(self) -> None:
        """Listen no more."""
        for signal, receiver in self._receivers():
            signal.disconnect(receiver)

    def _receivers(self) -> list[tuple[Any, Callable[..., None]]]:
        return [
            (signals.task_failure, self._on_failure),
            (signals.task_revoked, self._on_revoked),
            (signals.task_unknown, self._on_unknown),
            (signals.task_rejected, self._on_rejected),
        ]

    def _on_failure(self, task_id: str, exception: BaseException, **kwargs: Any) -> None:
        history = self.recorder.latest.get(task_id)
        # A Reject is the task's own decision, and counted as such; celery 5.7 stores a failure for it as well.
        if history is None or isinstance(exception, Reject):
            return
        # Celery hands over a copy where the exception can't be pickled.
        same = isinstance(exception, UnpickleableExceptionWrapper) or type(self._raised) is type(exception)
        self._fail(history, self._raised if self._raised is not None and same else exception)

    def _on_revoked(self, request: Any, expired: bool = False, **kwargs: Any) -> None:
        history = self.recorder.latest.get(request.id)
        if history is not None:
            self.recorder.state_set(history, "REVOKED", "expired" if expired else "revoked")
            self._end(history, Outcome, "REVOKED")

    def _on_unknown(self, name: str, id: str, **kwargs: Any) -> None:
        history = self.recorder.latest.get(id)
        if history is None:
            return
        self.recorder.state_set(history, "FAILURE", "no worker knows a task of this name")
        self._end(history, Outcome, "FAILURE")
        self.recorder.log.problem(
            "unknown_task",
            f"no worker knows a task named {name!r}: its message was thrown away.\n"
            f"{failing_import(self.app) or _nearest_name(name, self.app)}",
            where=history.where,
            cause=history.cause,
        )

    def _on_rejected(self, message: Any, exc: BaseException | None = None, **kwargs: Any) -> None:
        self.undecodable(message, exc)

    def undecodable(self, message: Any, exc: BaseException | None) -> None:
        """A worker could not read a message, and has thrown it away."""
        history = message._raw.stored.history
        if history is None:
            return
        reason = "it is no message of a task" if exc is None else f"{type(exc).__name__}: {exc}"
        self.recorder.state_set(history, "PENDING", f"thrown away by the worker: {reason}")
        self._end(history, Outcome, "REJECTED")
        self.recorder.log.problem(
            "undecodable_message",
            f"the worker can't read the message of {history.name}, and has thrown it away: {reason}\n"
            f"accept_content is {list(self.app.conf.accept_content)!r}; the message is "
            f"{message.content_type!r}. Its state stays PENDING for ever.",
            where=history.where,
            cause=history.cause,
        )

    # ---------------------------------------------------------------------- the pool

    def execute(
        self,
        target: Callable[..., Any],
        args: Any,
        kwargs: Any,
        *,
        accept_callback: Callable[..., Any],
        timeout_callback: Callable[..., Any],
        callback: Callable[..., Any],
        error_callback: Callable[..., Any],
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        """What a pool's ``on_apply`` does: run one request, and tell its callbacks how it went.

        Raises:
            WorkerDied: the test has asked for it.
        """
        assert self.worker is not None
        assert self.message is not None
        history: MessageHistory = self.message.history
        fault = self._take_fault(history.name, self.worker.name)
        accept_callback(pid(), time.monotonic())
        # Celery 5.5 leaves the early acknowledgement to the next turn of its loop, which comes long before a body ends.
        self.worker.consumer.perform_pending_operations()
        if fault is not None and fault.when == BEFORE:
            report = self._broken(fault, history, timeout)
        else:
            report = self._call(target, args, kwargs, history, soft_timeout, timeout, timeout_callback, fault)
        with caused_by(history.cause):
            self._report(report, history, callback, error_callback, timeout_callback)

    def _take_fault(self, task: str, worker: str) -> Fault | None:
        for fault in self.faults:
            if fault.fits(task, worker):
                self.faults.remove(fault)
                return fault
        return None

    def _broken(self, fault: Fault, history: MessageHistory, timeout: float | None) -> Any:
        """What the pool would report of a fault.

        Raises:
            WorkerDied: nobody is left to report.
        """
        if fault.kind == "kill_worker":
            raise WorkerDied(fault.when)
        if fault.kind == "lose_child":
            event = self.recorder.log.record(
                ChildLost, cause=history.cause, task=history.name, task_id=history.id, when=fault.when
            )
            history.cause = event.id
            return lost_child()
        limit = timeout or 1
        self.recorder.state_set(history, "FAILURE", f"over its hard time limit of {limit:g} s")
        return OverTime(limit)

    def _report(
        self, report: Any, history: MessageHistory, callback: Any, error_callback: Any, timeout_callback: Any
    ) -> None:
        """Tell the request, as the pool's result handler does."""
        if isinstance(report, OverTime):
            timeout_callback(False, report.limit)
            if history.id not in self._failed:  # celery before 5.7 sends no signal
                self._fail(history, TimeLimitExceeded(report.limit))
        elif isinstance(report, ExceptionInfo):
            error_callback(report)
        else:
            callback(report)
        self._failed.discard(history.id)

    # ----------------------------------------------------------------------- the body

    def around_body(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the function of a task, inside of Celery's tracer: its result is stored only after this returns."""

        def body(*args: Any, **kwargs: Any) -> Any:
            try:
                self._result = function(*args, **kwargs)
            except Exception as error:
                self._raised = error
                self._end_of_body()
                raise
            self._end_of_body()
            return self._result

        return body

    def _end_of_body(self) -> None:
        if self._fault is not None:
            raise ChildDied

    def _call(
        self,
        target: Callable[..., Any],
        args: Any,
        kwargs: Any,
        history: MessageHistory,
        soft: float | None,
        hard: float | None,
        timeout_callback: Callable[..., Any],
        fault: Fault | None,
    ) -> Any:
        """Call Celery's tracer; what it returns, or what the pool would report instead."""
        request = args[2]
        task = self.app.tasks[args[0]]
        call = call_text(history.name, tuple(request["args"]), request["kwargs"])
        started = self.recorder.log.record(
            BodyStarted, cause=history.cause, task=history.name, task_id=history.id, call=call, where=_line_of(task)
        )
        history.cause = started.id
        history.own_retry = False
        self._fault, self._raised, self._result = fault, None, None
        state, shown, report, left = "PENDING", "", None, False
        outcome: tuple[type[Outcome], dict[str, Any]] | None = None
        try:
            with caused_by(started), self.recorder.in_body(history), _Limits(soft, hard, timeout_callback):
                if inspect.iscoroutinefunction(task.run) and not task_has_custom(task, "__call__"):
                    raise _NeverAwaited
                report = target(*args, **kwargs)
            state, shown, outcome = self._read(report)
        except _NeverAwaited:
            error = AsyncTaskFunction(
                f"{history.name} is an `async def` task: Celery calls the function and never awaits what it returns, "
                "so that nothing of it runs (celery 5.7). Fix: make it a plain `def`, and call the asynchronous part "
                "by asgiref.sync.async_to_sync."
            )
            state, shown, report = "FAILURE", repr(error), _info(error)
        except ChildDied:
            shown = "its process ended before a result was stored"
        except OverTime as over:
            shown, report = f"over its hard time limit of {over.limit:g} s", over
        except SystemExit as leaving:
            # In a prefork worker the process ends, and the pool finds it gone.
            left = True
            shown, report = f"SystemExit({leaving.code!r})", lost_child(exit_reason(leaving))
        finally:
            self._fault = None
            self.recorder.log.record(
                BodyEnded, cause=started.id, task=history.name, task_id=history.id, state=state, result=shown
            )
        if left:
            lost = self.recorder.log.record(
                ChildLost, cause=history.cause, task=history.name, task_id=history.id, when="during_body"
            )
            history.cause = lost.id
        if outcome is not None:
            kind, fields = outcome
            self._end(history, kind, state, args=tuple(request["args"]), kwargs=request["kwargs"], **fields)
        if history.own_retry is not False and state in ("SUCCESS", "FAILURE"):
            self._swallowed(history, state)
        return report if fault is None else self._broken(fault, history, hard)

    def _read(self, report: Any) -> tuple[str, str, tuple[type[Outcome], dict[str, Any]] | None]:
        """The state in which a tracer has ended, what to show of it, and the outcome to keep."""
        failed, value, _ = report
        if not failed:
            return "SUCCESS", str(value), (TaskSuccess, {"result": self._result})
        exception = _exception_of(value)
        if isinstance(exception, Retry):
            return "RETRY", str(exception), (TaskRetry, _retry_fields(exception))
        if isinstance(exception, Reject):
            return "REJECTED", repr(exception), (Outcome, {})
        if isinstance(exception, Ignore):
            return "IGNORED", repr(exception), (Outcome, {})
        return "FAILURE", repr(exception), None  # the signal has told already

    def _swallowed(self, history: MessageHistory, state: str) -> None:
        where = None if isinstance(history.own_retry, bool) else history.own_retry
        self.recorder.log.problem(
            "swallowed_retry",
            f"{history.name} called self.retry(), and then caught the Retry that it raises: it ends as {state}, and "
            "runs again as well.\nself.retry() has to leave the function: keep it out of a `try` whose `except "
            "Exception` takes it, or re-raise celery.exceptions.Retry there.",
            where=where or history.where,
            cause=history.cause,
        )

    # ----------------------------------------------------------------------- outcomes

    def _fail(self, history: MessageHistory, exception: BaseException) -> None:
        self._failed.add(history.id)
        self._end(history, TaskFailure, "FAILURE", exception=exception)

    def _end(self, history: MessageHistory, kind: type[Outcome], state: str, **fields: Any) -> None:
        if "args" not in fields and self.message is not None and self.message.history is history:
            task = self.recorder.task(self.message)
            fields.update(args=task.args, kwargs=task.kwargs)
        self.outcomes.append(
            kind(name=history.name, id=history.id, state=state, retries=history.retries, where=history.where, **fields)
        )


class _NeverAwaited(BaseException):
    """An ``async def`` task was about to be called."""


class _Limits:
    """Enforces time limits in virtual time: a sleep that crosses a limit is cut off there."""

    def __init__(self, soft: float | None, hard: float | None, timeout_callback: Callable[..., Any]) -> None:
        self._clock = active_clock()
        self._limits = [
            (limit, raises)
            for limit, raises in ((soft, self._soft), (hard, self._hard))
            if limit and self._clock is not None
        ]
        self._tell = timeout_callback
        self._deadlines: list[Any] = []

    def _soft(self, limit: float) -> BaseException:
        self._tell(True, limit)
        return SoftTimeLimitExceeded(limit)

    def _hard(self, limit: float) -> BaseException:
        return OverTime(limit)

    def __enter__(self) -> None:
        if self._clock is not None:
            for limit, raises in self._limits:
                self._deadlines.append(self._clock.add_deadline(limit, partial(raises, limit)))

    def __exit__(self, *exc_info: object) -> None:
        if self._clock is not None:
            for deadline in self._deadlines:
                self._clock.remove_deadline(deadline)


def _exception_of(info: Any) -> BaseException:
    exception: Any = info.exception
    found: BaseException = exception.exc if isinstance(exception, ExceptionWithTraceback) else exception
    return found


def _retry_fields(retry: Retry) -> dict[str, Any]:
    numeric = isinstance(retry.when, int | float)
    return {
        "countdown": float(retry.when) if numeric else None,
        "eta": None if numeric else retry.when,
        "exc": retry.exc,
    }


def _info(error: BaseException) -> ExceptionInfo:
    try:
        raise error
    except BaseException:
        return ExceptionInfo()


def _line_of(task: Any) -> Location | None:
    code = getattr(inspect.unwrap(task.run), "__code__", None)
    if code is None or not is_project_file(code.co_filename):
        return None
    return Location(code.co_filename, code.co_firstlineno, code.co_qualname)


def _nearest_name(name: str, app: Any) -> str:
    near = near_names(name, app)
    hint = f"Is {near[0]!r} meant?" if near else "Is the module that defines it imported by the worker?"
    return f"{hint} A task is registered when its module is imported (app.autodiscover_tasks, CELERY_IMPORTS)."
