"""Calls the function of one task as a pool would, with its faults, and takes down what came of it."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery.app.trace import task_has_custom, trace_task_ret
from celery.exceptions import Retry
from kombu.serialization import prepare_accept_content

from ....errors import AsyncTaskFunction
from ....events import caused_by
from ...expect.messages import call_text
from ...extensions.batches import batch_of
from ...handlers import handler_error
from ...records import BodyEnded, BodyStarted, ChildLost
from ..broker import Broker, StoredMessage
from ..recorder import MessageHistory
from ..worker import SteppedWorker
from .batch_run import run_batch
from .body_faults import BodyFault
from .body_place import body_of, place_of
from .delivery import Delivery
from .endings import End, end_of, failed_outside
from .faults import AFTER, BEFORE, KILLED, ChildDied, Fault, OverTime, WorkerDied, exit_reason
from .job import REPORTS_EVERYTHING, Job, error_info
from .outcome_book import OutcomeBook
from .time_limits import TimeLimits


class Execution:
    """Runs the functions of the tasks of one queue, and lets their outcomes be taken down.

    Args:
        app: the Celery app.
        book: takes down the outcomes.
        broker: the simulated broker.

    Attributes:
        faults: what is to go wrong, for the next tasks that they fit.
        body_faults: what is to happen within the bodies that they fit.
        longest: for how many seconds a body of each task has run, at most.
        worker: the worker whose request runs now.
        ran: called with each message of a batch that has run; one that runs alone is the engine's own affair.
        accepted: called when a request has been accepted, before its body: a broker delivers the next one then.
        next_moment: says when the broker has something to do though a body runs; None where it has nothing.
        pass_time: called at that moment.
    """

    def __init__(self, app: Any, book: OutcomeBook, broker: Broker) -> None:
        self.app = app
        self.book = book
        self.recorder = book.recorder
        self.broker = broker
        self.faults: deque[Fault] = deque()
        self.body_faults: list[BodyFault] = []
        self.longest: dict[str, float] = {}
        self.worker: SteppedWorker | None = None
        self.ran: Callable[[StoredMessage], None] = lambda message: None
        self.accepted: Callable[[], None] = lambda: None
        self.next_moment: Callable[[], float | None] = lambda: None
        self.pass_time: Callable[[], None] = lambda: None
        self.recorder.boundary = self.execute.__func__.__code__  # type: ignore[attr-defined]

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
        batch = batch_of(target, args)
        if batch is not None:
            job = Job(
                0, accept_callback, callback, error_callback, timeout_callback,
                failed=lambda error: self.book.handler_failed(handler_error(error)),
            )  # fmt: skip
            run_batch(self.book, job, *batch, partial(target, *args, **kwargs), self.ran)
            return
        assert self.worker is not None
        assert self.book.message is not None
        history: MessageHistory = self.book.message.history
        job = Job(
            next(self.worker.jobs), accept_callback, callback, error_callback, timeout_callback,
            failed=lambda error: delivery.add_handler(handler_error(error)),
        )  # fmt: skip
        delivery = self.book.delivery = Delivery(self.book.message, history, job, timeout)
        try:
            job.accept()
            # Celery 5.5 leaves the early acknowledgement to the next turn of its loop, which comes long before a body
            # ends; and what is acknowledged makes room for the next message, which is with the worker before it, too.
            self.worker.consumer.perform_pending_operations()
            self.accepted()
            self._call(delivery, target, args, kwargs, soft_timeout)
        finally:
            self.book.delivery = None

    def _take_fault(self, when: str, delivery: Delivery) -> Fault | None:
        assert self.worker is not None
        for fault in self.faults:
            if fault.when == when and fault.fits(delivery.history.name, self.worker.name):
                self.faults.remove(fault)
                return fault
        return None

    def _meet(self, when: str, delivery: Delivery) -> None:
        """Let the fault happen that was asked for.

        Raises:
            WorkerDied: the whole worker is killed.
            ChildDied: the process that runs the body is killed.
            OverTime: it is over its hard time limit.
        """
        fault = self._take_fault(when, delivery) if self.faults else None
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

    def _over_hard_limit(self, delivery: Delivery, limit: float) -> BaseException:
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
            delivery = self.book.delivery
            if delivery is None:  # called by the project itself
                return function(*args, **kwargs)
            self._meet(BEFORE, delivery)
            try:
                with self._faults_within(delivery):
                    delivery.result = function(*args, **kwargs)
            except Exception as error:
                self._end_of_body(delivery)
                delivery.raised = error
                raise
            self._end_of_body(delivery)
            return delivery.result

        return body

    def _faults_within(self, delivery: Delivery) -> AbstractContextManager[object]:
        """What happens inside of one body."""
        if not self.body_faults:
            return nullcontext()
        assert self.worker is not None
        name, worker = delivery.history.name, self.worker.name
        fitting = [fault for fault in self.body_faults if fault.fits(name, worker)]
        with ExitStack() as stack:
            for fault in fitting:
                stack.enter_context(fault.around())
            return stack.pop_all()

    def _end_of_body(self, delivery: Delivery) -> None:
        if delivery.job.timed_out:
            delivery.kill()
            raise ChildDied  # it has caught the SIGTERM of its hard time limit: a SIGKILL follows
        self._meet(AFTER, delivery)

    def _call(self, delivery: Delivery, target: Callable[..., Any], args: Any, kwargs: Any, soft: float | None) -> None:
        """Call Celery's tracer, and tell the callbacks what has come of it."""
        request, history, job = args[2], delivery.history, delivery.job
        task = self.app.tasks[args[0]]
        function = body_of(task)
        call = call_text(history.name, tuple(request["args"]), request["kwargs"])
        started = self.recorder.log.record(
            BodyStarted, cause=history.cause, task=history.name, task_id=history.id, call=call, where=place_of(function)
        )
        history.cause = started.id
        history.own_retry = False
        end = End()
        try:
            with (
                caused_by(started),
                self.recorder.in_body(history),
                TimeLimits(delivery, soft, over_hard_limit=self._over_hard_limit, broker=self),
                delivery,
            ):
                if inspect.iscoroutinefunction(function) and not task_has_custom(task, "__call__"):
                    raise _NeverAwaited
                report = target(*args, **kwargs, **self._located(target))
            end = end_of(report, delivery)
        except _NeverAwaited:
            end = failed_outside(_never_awaited(history.name), job)
        except ChildDied:
            end = End(shown="its process ended before a result was stored", tell=lambda: job.lost(KILLED))
        except OverTime:
            end = End(shown=f"over its hard time limit of {delivery.hard or 1:g} s")
        except (WorkerDied, KeyboardInterrupt):
            raise  # the second is the user's
        except BaseException as error:
            end = self._left(error, delivery)
        finally:
            ended = self.recorder.log.record(
                BodyEnded, cause=started.id, task=history.name, task_id=history.id, state=end.state, result=end.shown
            )
            self.longest[history.name] = max(self.longest.get(history.name, 0.0), ended.at - started.at)
        if history.own_retry is not False and not isinstance(delivery.raised, Retry):
            self._swallowed(history, end.state)
        try:
            if not job.ready:
                with caused_by(history.cause):
                    end.tell()
        finally:
            self.book.conclude(delivery, end, tuple(request["args"]), request["kwargs"])

    def _located(self, target: Any) -> dict[str, Any]:
        """What a pool's process knows of the app, where Celery's fast tracer asks for it."""
        if target is trace_task_ret:  # asked this way round, since a library may have wrapped the other one
            return {}
        assert self.worker is not None
        return {"_loc": (self.app.tasks, self._accept, self.worker.hostname)}

    @functools.cached_property
    def _accept(self) -> Any:
        """Which content types a process takes: it reads the setting once, as it begins."""
        return prepare_accept_content(self.app.conf.accept_content)

    def _left(self, error: BaseException, delivery: Delivery) -> End:
        """What comes of an exception that has left Celery's tracer."""
        job = delivery.job
        if _is_of_the_test_runner(error):
            raise error
        if isinstance(error, SystemExit):
            self._note_lost(delivery.history, "during_body")
            # From billiard 4.3 on the process tells before it ends; until then the pool finds it gone.
            info = error_info(error)
            tell = (lambda: job.raised(info)) if REPORTS_EVERYTHING else (lambda: job.lost(exit_reason(error)))
            return End(shown=f"SystemExit({error.code!r})", tell=tell)
        if not REPORTS_EVERYTHING and not isinstance(error, Exception):
            self._note_lost(delivery.history, "during_body")
            return End(shown=repr(error), tell=lambda: job.lost("exitcode 0"))
        return failed_outside(error, job)

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
