"""Calls the function of one task as a pool would, with its faults, and takes down what came of it."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import signals
from celery.app.trace import fast_trace_task, task_has_custom
from celery.exceptions import Ignore, Reject, Retry
from kombu.serialization import prepare_accept_content

from ...clock.virtual import active_clock
from ...errors import AsyncTaskFunction
from ...events import Location, caused_by, is_project_file
from ..expect.matching import failing_import, near_names
from ..expect.messages import call_text
from ..handlers import handler_error, listening
from ..outcomes import HandlerError, HandlerFailure, Outcome, TaskFailure, TaskRetry, TaskSuccess
from ..records import BodyEnded, BodyStarted, ChildLost
from .broker import Broker, StoredMessage
from .faults import AFTER, BEFORE, KILLED, ChildDied, Fault, OverTime, WorkerDied, exit_reason
from .job import REPORTS_EVERYTHING, Job
from .recorder import MessageHistory, Recorder
from .worker import SteppedWorker

# How long after a SIGTERM the pool sends a SIGKILL, in seconds (billiard, TimeoutHandler._trywaitkill).
PATIENCE = 0.1


@dataclass(eq=False)
class _Delivery:
    """What is known of the request that runs now.

    Attributes:
        message: its message.
        history: of that message.
        job: the request, as the pool keeps it.
        hard: its hard time limit, in seconds.
        result: what the body has returned.
        raised: what the body has raised.
        failure: with what the task has failed, as Celery tells it first.
        handlers: the failures of handlers.
    """

    message: StoredMessage
    history: MessageHistory
    job: Job
    hard: float | None
    result: Any = None
    raised: BaseException | None = None
    failure: BaseException | None = None
    handlers: list[HandlerError] = field(default_factory=list)
    _deaf: list[Any] = field(default_factory=list)

    @property
    def failed_with(self) -> BaseException | None:
        """What the body itself has raised, where that is a failure."""
        decision = isinstance(self.raised, Retry | Ignore | Reject)
        return None if decision else self.raised

    # --- private API: celery.utils.dispatch.Signal and celery.app.trace, seen on celery 5.5–5.7: Celery's tracer asks
    # --- this very list whether anybody is to hear that the task has run.

    def kill(self) -> None:
        """The process is killed: nothing of it runs any more, so that nobody hears of its end."""
        self._deaf = list(signals.task_postrun.receivers)
        signals.task_postrun.receivers.clear()

    @contextmanager
    def heard(self) -> Generator[None]:
        """Let receivers hear again, after the block."""
        try:
            yield
        finally:
            if self._deaf:
                signals.task_postrun.receivers[:] = self._deaf

    # --- end of private API

    def add_handler(self, error: HandlerError) -> None:
        """Note the failure of a handler, once: Celery calls some of them again when they fail."""
        known = {(other.handler, repr(other.exception)) for other in self.handlers}
        if (error.handler, repr(error.exception)) not in known:
            self.handlers.append(error)


class Execution:
    """Runs the functions of the tasks of one queue, and keeps their outcomes.

    Args:
        app: the Celery app.
        recorder: takes down what happens.
        broker: the simulated broker.
        why_unregistered: says of a task why a worker of production does not know it; None where it does.

    Attributes:
        outcomes: what came of each delivery, in order.
        faults: what is to go wrong, for the next tasks that they fit.
        longest: for how many seconds a body of each task has run, at most.
        worker: the worker whose request runs now.
        message: the message of the request that runs now.
        accepted: called when a request has been accepted, before its body: a broker delivers the next one then.
        next_moment: says when the broker has something to do though a body runs; None where it has nothing.
        pass_time: called at that moment.
    """

    def __init__(
        self,
        app: Any,
        recorder: Recorder,
        broker: Broker,
        why_unregistered: Callable[[Any], str | None] | None = None,
    ) -> None:
        self.app = app
        self.recorder = recorder
        self.broker = broker
        self.outcomes: list[Outcome] = []
        self.faults: deque[Fault] = deque()
        self.longest: dict[str, float] = {}
        self.worker: SteppedWorker | None = None
        self.message: StoredMessage | None = None
        self.accepted: Callable[[], None] = lambda: None
        self.next_moment: Callable[[], float | None] = lambda: None
        self.pass_time: Callable[[], None] = lambda: None
        self._delivery: _Delivery | None = None
        self._listening = ExitStack()
        self._why_unregistered = why_unregistered
        # By the name of the task: what a worker of production lacks, though this process has it.
        self._unregistered: dict[str, str] = {}
        recorder.boundary = self.execute.__func__.__code__  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------ signals

    def connect(self) -> None:
        """Listen to what Celery tells of tasks."""
        for signal, receiver in self._receivers():
            signal.connect(receiver, weak=False)
        self._listening.enter_context(listening(self._handler_failed))

    def disconnect(self) -> None:
        """Listen no more."""
        self._listening.close()
        for signal, receiver in self._receivers():
            signal.disconnect(receiver)

    def _receivers(self) -> list[tuple[Any, Callable[..., None]]]:
        return [
            (signals.task_failure, self._on_failure),
            (signals.task_internal_error, self._on_internal_error),
            (signals.task_revoked, self._on_revoked),
            (signals.task_unknown, self._on_unknown),
            (signals.task_rejected, self._on_rejected),
        ]

    def _on_failure(self, task_id: str, exception: BaseException, **kwargs: Any) -> None:
        delivery = self._delivery
        # A Reject is the task's own decision, and counted as such; celery 5.7 stores a failure for it as well.
        if isinstance(exception, Reject):
            return
        if delivery is not None and delivery.history.id == task_id:
            if delivery.failure is None:  # the first one tells the reason; what Celery adds comes of it
                delivery.failure = exception
        elif (history := self.recorder.latest.get(task_id)) is not None:
            self._end(history, TaskFailure, "FAILURE", exception=exception)

    def _on_internal_error(self, task_id: str, exception: BaseException, **kwargs: Any) -> None:
        if self._delivery is not None and self._delivery.history.id == task_id:
            self._delivery.add_handler(handler_error(exception))

    def _handler_failed(self, error: HandlerError) -> None:
        """A handler has failed, and Celery has only logged it."""
        if self._delivery is not None:
            self._delivery.add_handler(error)
            return
        history = self.recorder.latest.get(error.task_id or "")
        where = self.recorder.site() if history is None else history.where
        self.outcomes.append(
            HandlerFailure(
                name=error.task or "?", id=error.task_id or "", state="FAILURE", where=where,
                exception=error.exception, handlers=(error,),
            )
        )  # fmt: skip

    def _on_revoked(self, request: Any, expired: bool = False, **kwargs: Any) -> None:
        history = self.recorder.latest.get(request.id)
        if history is not None:
            self.recorder.state_set(history, "REVOKED", "expired" if expired else "revoked")
            self._end(history, Outcome, "REVOKED")

    def is_registered(self, task: Any) -> bool:
        """Whether a worker of production has a task that this process has."""
        why = self._why_unregistered(task) if self._why_unregistered is not None else None
        if why is not None:
            self._unregistered[task.name] = why
        return why is None

    def _on_unknown(self, name: str, id: str, **kwargs: Any) -> None:
        history = self.recorder.latest.get(id)
        if history is None:
            return
        self.recorder.state_set(history, "FAILURE", "no worker knows a task of this name")
        self._end(history, Outcome, "FAILURE")
        self.recorder.log.problem(
            "unknown_task",
            f"no worker knows a task named {name!r}: its message was thrown away.\n"
            f"{failing_import(self.app) or self._unregistered.get(name) or _nearest_name(name, self.app)}",
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
        accept_callback: Callable[..., Any] | None = None,
        timeout_callback: Callable[..., Any] | None = None,
        callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        """What a pool's ``on_apply`` does: run one request, and tell its callbacks how it went.

        Raises:
            WorkerDied: the test has asked for it.
            WorkerEnded: the worker process can't go on.
        """
        assert self.worker is not None
        assert self.message is not None
        history: MessageHistory = self.message.history
        job = Job(
            next(self.worker.jobs), accept_callback, callback, error_callback, timeout_callback,
            failed=lambda error: delivery.add_handler(handler_error(error)),
        )  # fmt: skip
        delivery = self._delivery = _Delivery(self.message, history, job, timeout)
        try:
            job.accept()
            # Celery 5.5 leaves the early acknowledgement to the next turn of its loop, which comes long before a body
            # ends; and what is acknowledged makes room for the next message, which is with the worker before it, too.
            self.worker.consumer.perform_pending_operations()
            self.accepted()
            self._call(delivery, target, args, kwargs, soft_timeout)
        finally:
            self._delivery = None

    def _take_fault(self, when: str, delivery: _Delivery) -> Fault | None:
        assert self.worker is not None
        for fault in self.faults:
            if fault.when == when and fault.fits(delivery.history.name, self.worker.name):
                self.faults.remove(fault)
                return fault
        return None

    def _meet(self, when: str, delivery: _Delivery) -> None:
        """Let the fault happen that was asked for.

        Raises:
            WorkerDied: the whole worker is killed.
            ChildDied: the process that runs the body is killed.
            OverTime: it is over its hard time limit.
        """
        fault = self._take_fault(when, delivery)
        if fault is None:
            return
        if fault.kind == "kill_worker":
            delivery.kill()
            raise WorkerDied(fault.when)
        if fault.kind == "lose_child":
            self._note_lost(delivery.history, fault.when)
            delivery.kill()
            raise ChildDied
        raise self._over_hard_limit(delivery, delivery.hard or 1)

    def _over_hard_limit(self, delivery: _Delivery, limit: float) -> BaseException:
        history = delivery.history
        self.recorder.state_set(history, "FAILURE", f"over its hard time limit of {limit:g} s")
        with caused_by(history.cause):
            # The parent process tells first, and only then ends the one that runs the body.
            delivery.job.over_hard_limit(limit)
        if delivery.failure is None:  # celery before 5.7 sends no signal where the message goes back to its queue
            delivery.failure = TimeLimitExceeded(limit)
        return OverTime()

    def _note_lost(self, history: MessageHistory, when: str) -> None:
        event = self.recorder.log.record(
            ChildLost, cause=history.cause, task=history.name, task_id=history.id, when=when
        )
        history.cause = event.id

    # ----------------------------------------------------------------------- the body

    def around_body(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the function of a task, inside of Celery's tracer: its result is stored only after this returns."""

        def body(*args: Any, **kwargs: Any) -> Any:
            delivery = self._delivery
            if delivery is None:  # called by the project itself
                return function(*args, **kwargs)
            self._meet(BEFORE, delivery)
            try:
                delivery.result = function(*args, **kwargs)
            except Exception as error:
                self._end_of_body(delivery)
                delivery.raised = error
                raise
            self._end_of_body(delivery)
            return delivery.result

        return body

    def _end_of_body(self, delivery: _Delivery) -> None:
        if delivery.job.timed_out:
            delivery.kill()
            raise ChildDied  # it has caught the SIGTERM of its hard time limit: a SIGKILL follows
        self._meet(AFTER, delivery)

    def _call(
        self, delivery: _Delivery, target: Callable[..., Any], args: Any, kwargs: Any, soft: float | None
    ) -> None:
        """Call Celery's tracer, and tell the callbacks what has come of it."""
        request, history, job = args[2], delivery.history, delivery.job
        task = self.app.tasks[args[0]]
        call = call_text(history.name, tuple(request["args"]), request["kwargs"])
        started = self.recorder.log.record(
            BodyStarted, cause=history.cause, task=history.name, task_id=history.id, call=call, where=_line_of(task)
        )
        history.cause = started.id
        history.own_retry = False
        began = time.time()
        end = _End()
        try:
            with (
                caused_by(started),
                self.recorder.in_body(history),
                _Limits(self, delivery, soft),
                delivery.heard(),
            ):
                if inspect.iscoroutinefunction(task.run) and not task_has_custom(task, "__call__"):
                    raise _NeverAwaited
                report = target(*args, **kwargs, **self._located(target))
            end = self._read(report, delivery)
        except _NeverAwaited:
            end = _failed_outside(_never_awaited(history.name), job)
        except ChildDied:
            end = _End(shown="its process ended before a result was stored", tell=lambda: job.lost(KILLED))
        except OverTime:
            end = _End(shown=f"over its hard time limit of {delivery.hard or 1:g} s")
        except (WorkerDied, KeyboardInterrupt):
            raise  # the second is the user's
        except BaseException as error:
            end = self._left(error, delivery)
        finally:
            self.longest[history.name] = max(self.longest.get(history.name, 0.0), time.time() - began)
            self.recorder.log.record(
                BodyEnded, cause=started.id, task=history.name, task_id=history.id, state=end.state, result=end.shown
            )
        if history.own_retry is not False and not isinstance(delivery.raised, Retry):
            self._swallowed(history, end.state)
        try:
            if not job.ready:
                with caused_by(history.cause):
                    end.tell()
        finally:
            self._conclude(delivery, end, tuple(request["args"]), request["kwargs"])

    def _located(self, target: Any) -> dict[str, Any]:
        """What a pool's process knows of the app, where Celery's fast tracer asks for it."""
        if target is not fast_trace_task:
            return {}
        assert self.worker is not None
        accept = prepare_accept_content(self.app.conf.accept_content)
        return {"_loc": (self.app.tasks, accept, self.worker.hostname)}

    def _left(self, error: BaseException, delivery: _Delivery) -> _End:
        """What comes of an exception that has left Celery's tracer."""
        job = delivery.job
        if _is_of_the_test_runner(error):
            raise error
        if isinstance(error, SystemExit):
            self._note_lost(delivery.history, "during_body")
            # From billiard 4.3 on the process tells before it ends; until then the pool finds it gone.
            info = _info(error)
            tell = (lambda: job.raised(info)) if REPORTS_EVERYTHING else (lambda: job.lost(exit_reason(error)))
            return _End(shown=f"SystemExit({error.code!r})", tell=tell)
        if not REPORTS_EVERYTHING and not isinstance(error, Exception):
            self._note_lost(delivery.history, "during_body")
            return _End(shown=repr(error), tell=lambda: job.lost("exitcode 0"))
        return _failed_outside(error, job)

    def _read(self, report: Any, delivery: _Delivery) -> _End:
        """What a tracer that has returned says."""
        failed, value, _ = report
        tell = partial(delivery.job.returned, report)
        if not failed:
            return _End("SUCCESS", str(value), tell, TaskSuccess, {"result": delivery.result})
        exception = _exception_of(value)
        if isinstance(exception, Retry):
            return _End("RETRY", str(exception), tell, TaskRetry, _retry_fields(exception))
        if isinstance(exception, Reject):
            return _End("REJECTED", repr(exception), tell, Outcome)
        if isinstance(exception, Ignore):
            return _End("IGNORED", repr(exception), tell, Outcome)
        # Celery hands over a copy where the exception can't be pickled.
        return _End("FAILURE", repr(exception), tell, TaskFailure, {"exception": exception})

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

    def _conclude(self, delivery: _Delivery, end: _End, args: tuple[Any, ...], kwargs: Any) -> None:
        """Keep what has come of one delivery."""
        history = delivery.history
        failure = delivery.failed_with or delivery.failure or end.fields.get("exception")
        handlers = tuple(error for error in delivery.handlers if error.exception is not failure)
        if end.kind not in (None, TaskFailure):
            self._end(history, end.kind or Outcome, end.state, args=args, kwargs=kwargs, **end.fields)
            if handlers:
                self._end(
                    history, HandlerFailure, "FAILURE", args=args, kwargs=kwargs, handlers=handlers,
                    exception=handlers[0].exception,
                )  # fmt: skip
        elif failure is not None:
            self._end(history, TaskFailure, "FAILURE", args=args, kwargs=kwargs, exception=failure, handlers=handlers)

    def _end(self, history: MessageHistory, kind: type[Outcome], state: str, **fields: Any) -> None:
        if "args" not in fields and self.message is not None and self.message.history is history:
            task = self.recorder.task(self.message)
            fields.update(args=task.args, kwargs=task.kwargs)
        self.outcomes.append(
            kind(name=history.name, id=history.id, state=state, retries=history.retries, where=history.where, **fields)
        )


@dataclass(frozen=True)
class _End:
    """How the process that ran a body has ended with it.

    Attributes:
        state: Celery's state.
        shown: what the log shows of it.
        tell: tells the request.
        kind: of the outcome; None where none is to be kept, unless the task has failed.
        fields: of the outcome.
    """

    state: str = "PENDING"
    shown: str = ""
    tell: Callable[[], None] = lambda: None
    kind: type[Outcome] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def _failed_outside(error: BaseException, job: Job) -> _End:
    return _End("FAILURE", repr(error), partial(job.raised, _info(error)), TaskFailure, {"exception": error})


def _never_awaited(name: str) -> Exception:
    return AsyncTaskFunction(
        f"{name} is an `async def` task: Celery calls the function and never awaits what it returns, so that nothing "
        "of it runs (celery 5.7). Fix: make it a plain `def`, and call the asynchronous part by "
        "asgiref.sync.async_to_sync."
    )


def _is_of_the_test_runner(error: BaseException) -> bool:
    """Whether it is pytest's own, such as that of ``pytest.fail()``: it is meant for the test, not for Celery."""
    return any(kind.__module__.startswith("_pytest.") for kind in type(error).__mro__)


class _NeverAwaited(BaseException):
    """An ``async def`` task was about to be called."""


class _Limits:
    """What happens in virtual time while a body sleeps: its time limits, and what the broker does meanwhile."""

    def __init__(self, execution: Execution, delivery: _Delivery, soft: float | None) -> None:
        self._clock = active_clock()
        self._execution = execution
        self._delivery = delivery
        self._soft_limit = soft
        self._deadlines: list[Any] = []

    def __enter__(self) -> None:
        if self._soft_limit:
            self._at(self._soft_limit, self._soft)
        if self._delivery.hard:
            self._at(self._delivery.hard, self._hard)
        self._watch_broker()

    def _at(self, seconds: float, call: Callable[[], BaseException | None]) -> None:
        if self._clock is not None:
            self._deadlines.append(self._clock.add_deadline(seconds, call))

    def _soft(self) -> BaseException:
        self._delivery.job.over_soft_limit(self._soft_limit or 0)
        return SoftTimeLimitExceeded()

    def _hard(self) -> BaseException:
        self._at(PATIENCE, self._kill)
        return self._execution._over_hard_limit(self._delivery, self._delivery.hard or 0)

    def _kill(self) -> BaseException:
        self._delivery.kill()
        return ChildDied()

    def _watch_broker(self) -> None:
        moment = self._execution.next_moment()
        if moment is not None:
            self._at(moment - time.time(), self._pass_time)

    def _pass_time(self) -> None:
        self._execution.pass_time()
        self._watch_broker()

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
