"""`task_queue`: Celery's real producer and worker over a simulated broker, stepped by the test."""

# What pyright infers of Celery and kombu, which bring no types, is mostly not what they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false
# pyright: reportPrivateImportUsage=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from celery.app.base import Celery

from ..clock.virtual import VirtualClock, active_clock, clock_for_a_step, is_frozen, seconds_of, time_is_real
from ..errors import BackchannelError
from ..events import EventLog, current_log
from . import verdicts
from .broker_guard import refuse_real_brokers
from .expect.messages import EnqueuedTask, decode
from .expect.waiting import WaitingTasks
from .outcomes import (
    Counts,
    HandlerFailure,
    MisusedQueue,
    NothingToRun,
    Outcome,
    ResultUnavailable,
    TaskFailure,
    TaskRetry,
    TaskSuccess,
)
from .records import TaskEvent
from .stepped.backend import backend_for
from .stepped.broker import Broker, has_task_header
from .stepped.engine import Engine
from .stepped.execution import Execution
from .stepped.explain import nothing_due, why_no_result
from .stepped.faults import BEFORE, Fault, check_moment
from .stepped.installation import Installation
from .stepped.recorder import Recorder
from .stepped.transport import transport_for
from .twins import DEFAULT_LIMIT, MAX_IDLE, AsyncTwins

if TYPE_CHECKING:
    from types import TracebackType

ORDERS = ("fifo", "random")


class TaskQueue(WaitingTasks, AsyncTwins):
    """The tasks that wait, and the worker that runs them when it is asked to.

    A sequence of the messages that now wait, in the order of their publishing: in a queue, or received by the worker
    and held for their eta or their turn. A context manager: within it, the app publishes to a simulated broker, and
    everything of the app is as before when it ends. Celery's own code publishes, receives, runs, retries and
    acknowledges; see docs/explanation/stepped-worker.md for what is simulated.

    Its steps happen in the time of the virtual clock. Without one, the queue starts its own at its first step, and
    keeps it to its end. A step inside of a ``time_machine.travel()`` moves the time of that one.

    Args:
        app: the project's Celery app.
        profile: ``rabbitmq`` or ``redis``: how the broker behaves.
        broker_options: Celery's ``broker_transport_options`` in production.
        visibility_timeout: for ``redis``, in seconds; what ``broker_options`` says (3,600 there by default).
        result_backend: the kind of result backend: ``redis``, ``rpc``, ``cache``, ``db``, ``disabled`` …
        workers: the queues of each worker, by its name.
        queues: the queues of the one worker, where ``workers`` is not given; without either, the declared
            ``task_queues``, and where there are none, every queue that is used.
        order: ``fifo``, or ``random``: any message that waits may be next.
        seed: of the random order.
        redeliver_all: deliver each message once more when it is done, as a broker may: tasks have to stand it.
        log: where events go; the log of the running test by default.
        in_transaction: whether the project's code is inside a transaction of its own, now.

    Raises:
        ValueError: a value that is none of the valid choices.

    Example:
        >>> with TaskQueue(app) as task_queue:
        ...     send_invoice_email.delay(7)
        ...     task_queue.assert_enqueued(send_invoice_email.s(7))
        ...     task_queue.run()
        {'SUCCESS': 1}
    """

    _harm = "where tasks could neither use the database nor async_to_sync"

    def __init__(
        self,
        app: Celery,
        *,
        profile: str = "rabbitmq",
        broker_options: Mapping[str, Any] | None = None,
        visibility_timeout: float | None = None,
        result_backend: str = "cache",
        workers: Mapping[str, Sequence[str]] | None = None,
        queues: Sequence[str] | None = None,
        order: str = "fifo",
        seed: int = 0,
        redeliver_all: bool = False,
        log: EventLog | None = None,
        in_transaction: Callable[[], bool] | None = None,
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"order={order!r}: choose one of {', '.join(map(repr, ORDERS))}")
        if workers is not None and queues is not None:
            raise ValueError("queues= is for the one worker, and workers= names several: give one of them")
        # An app may be given as a proxy, such as celery.current_app.
        self.app: Any = app._get_current_object() if hasattr(app, "_get_current_object") else app
        options = dict(broker_options or {})
        if visibility_timeout is not None:
            options["visibility_timeout"] = visibility_timeout
        self.log = current_log() if log is None else log
        self._stack = ExitStack()
        self._recorder = Recorder(self.app, self.log, in_transaction)
        self._broker = Broker(profile, options=options, listener=self._recorder, is_task=self._is_task)
        self._recorder.broker = self._broker
        self._backend_kind = result_backend
        self._workers = workers
        self._queues = queues
        self._order, self._seed, self._redeliver_all = order, seed, redeliver_all
        self._looked_at: set[str] = set()
        self._execution = Execution(self.app, self._recorder, self._broker)
        self._made: Engine | None = None
        self._active = False

    # ------------------------------------------------------------------ begin and end

    def __enter__(self) -> TaskQueue:
        stack = self._stack
        transport = transport_for(
            self._broker,
            pump=lambda: self._engine.pump(),
            wake=lambda: self._engine.wake(),
            refused=self._recorder.refused,
        )
        installation = Installation(self.app, transport, lambda: backend_for(self._backend_kind, self.app, self))
        try:
            stack.enter_context(installation)
            stack.enter_context(refuse_real_brokers())
            self._made = Engine(
                installation=installation,
                broker=self._broker,
                recorder=self._recorder,
                execution=self._execution,
                workers=self._worker_queues(),
                order=self._order,
                seed=self._seed,
                redeliver_all=self._redeliver_all,
            )
            self._execution.connect()
            stack.callback(self._execution.disconnect)
            stack.callback(self._engine.stop)
        except BaseException:
            stack.close()
            raise
        self.log.at_end(self._check)
        self._active = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._active = False
        self._stack.close()

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            raise MisusedQueue("the task queue has not begun. Fix: with TaskQueue(app) as task_queue: …")
        return self._made

    def _check_active(self) -> None:
        # The app publishes to its own broker again, and a worker would connect there.
        if self._made is not None and not self._active:
            raise MisusedQueue(
                "the task queue has ended, and its app is as it was before: step it inside of its `with` block, or of "
                "the test."
            )

    def _worker_queues(self) -> dict[str, tuple[str, ...] | None]:
        if self._workers is not None:
            return {name: tuple(queues) for name, queues in self._workers.items()}
        if self._queues is not None:
            return {"worker": tuple(self._queues)}
        declared = self.app.conf.task_queues
        if declared:
            return {"worker": tuple(self.app.amqp.queues)}
        return {"worker": None}

    def _is_task(self, raw: Mapping[str, Any]) -> bool:
        if has_task_header(raw):
            return True
        if self.app.conf.task_protocol != 1 or not raw["properties"].get("correlation_id"):
            return False
        return decode(raw, app=self.app).unreadable is None

    def _check(self) -> None:
        if self._active:
            verdicts.unserved_queues(self._engine, self.log)
            verdicts.failed_tasks(self._execution.outcomes, self._looked_at, self.log)
            verdicts.pending_chords(self._engine, self.app, self.log)

    # -------------------------------------------------------------------- what waits

    def _waiting(self) -> list[EnqueuedTask]:
        return [self._recorder.task(message) for message in self._engine.waiting()]

    def __len__(self) -> int:
        return len(self._engine.waiting())  # without a look into each

    def _have_run(self) -> list[EnqueuedTask]:
        return [self._recorder.task(message) for message in self._engine.done]

    def reserved(self, worker: str = "worker") -> list[EnqueuedTask]:
        """The tasks that a worker has received and not begun: no other worker can have them.

        Args:
            worker: the worker's name, as in ``workers=``.

        Raises:
            ValueError: there is no worker of this name.
        """
        holder = self._engine.workers[self._worker(worker)]
        held = [message for message in self._engine.recorder.held.values() if message.holder is holder]
        return [self._recorder.task(message) for message in sorted(held, key=lambda m: m.history.number)]

    @contextmanager
    def capture(self) -> Generator[list[EnqueuedTask]]:
        """Collect what the block enqueues, whether or not it is run there.

        Example:
            >>> with task_queue.capture() as sent:
            ...     client.post("/invoices/7/email/")
            >>> assert [task.name for task in sent] == ["billing.tasks.send_invoice_email"]
        """
        sent: list[EnqueuedTask] = []
        self._recorder.captures.append(sent)
        try:
            yield sent
        finally:
            self._recorder.captures = [other for other in self._recorder.captures if other is not sent]

    # ----------------------------------------------------------------------- stepping

    def run_one(self, *, propagate: bool = True, worker: str | None = None) -> Counts:
        """Run the next task that is due.

        Args:
            propagate: raise what the task raises; otherwise only record it in :attr:`failures`.
            worker: the name of the worker that runs one; any by default.

        Returns:
            How many tasks ended in each of Celery's states.

        Raises:
            NothingToRun: nothing is due; the message says what waits, and for what.
            Exception: what the task raises.
        """
        __tracebackhide__ = True
        self._check_thread("run_one")
        only = None if worker is None else self._worker(worker)
        before = len(self._execution.outcomes)
        with self._still():
            if not self._engine.step(only):
                raise NothingToRun(nothing_due(self._engine, self._recorder, only))
        return self._report(before, propagate)

    def run(self, *, propagate: bool = True, worker: str | None = None, limit: int = DEFAULT_LIMIT) -> Counts:
        """Run all tasks that are due now, and those that they enqueue, until nothing is due.

        Args:
            propagate: raise what a task raises, at once; what waits behind it stays, and another ``run()`` goes on.
                Otherwise only record it in :attr:`failures`.
            worker: the name of the one worker that runs; all by default.
            limit: how many tasks may lead to one another, and how often one message may be delivered.

        Returns:
            How many tasks ended in each of Celery's states, such as ``{"SUCCESS": 2, "RETRY": 1}``.

        Raises:
            EndlessLoop: the limit is reached; the message names the cycle.
            Exception: what a task raises, with a note that names the task, its id, its arguments and its call site.
        """
        __tracebackhide__ = True
        self._check_thread("run")
        only = None if worker is None else self._worker(worker)
        before = len(self._execution.outcomes)
        with self._still():
            self._run(propagate, only, limit)
        return self._report(before, propagate=False, looked=propagate)

    def advance(self, seconds: float | timedelta, *, propagate: bool = True, limit: int = DEFAULT_LIMIT) -> Counts:
        """Run what is due, and move time, running what comes due on the way, at its own moment.

        Args:
            seconds: how far, in seconds or as a timedelta.
            propagate: as for :meth:`run`.
            limit: as for :meth:`run`.

        Returns:
            How many tasks ended in each of Celery's states.

        Raises:
            TypeError: ``seconds`` is neither.
            ValueError: ``seconds`` is negative or not finite.
            Exception: as for :meth:`run`; time then stands at the moment of the failure.
        """
        __tracebackhide__ = True
        self._check_thread("advance")
        distance = seconds_of(seconds, "advance")
        before = len(self._execution.outcomes)
        with self._time() as clock:
            end = clock.time() + distance
            self._run(propagate, None, limit)
            while (moment := self._engine.next_moment()) is not None and moment <= end:
                self._move(clock, moment)
                self._run(propagate, None, limit)
            self._move(clock, end)
            self._run(propagate, None, limit)
        return self._report(before, propagate=False, looked=propagate)

    def run_until_idle(
        self, *, propagate: bool = True, limit: int = DEFAULT_LIMIT, max_seconds: float = MAX_IDLE
    ) -> Counts:
        """Run everything, and move time to whatever is still to come, until nothing waits: all retries, all etas.

        Args:
            propagate: as for :meth:`run`.
            limit: as for :meth:`run`.
            max_seconds: how far time may move, in seconds; a year by default.

        Returns:
            How many tasks ended in each of Celery's states.

        Raises:
            EndlessLoop: the limit is reached; the message names the cycle.
            MisusedQueue: something is due only after ``max_seconds``.
            Exception: as for :meth:`run`.
        """
        __tracebackhide__ = True
        self._check_thread("run_until_idle")
        before = len(self._execution.outcomes)
        with self._time() as clock:
            start = clock.time()
            self._run(propagate, None, limit)
            while (moment := self._engine.next_moment()) is not None:
                if moment - start > max_seconds:
                    raise MisusedQueue(
                        f"something is due only in {moment - start:.0f} s, and run_until_idle() moves time by at most "
                        f"{max_seconds:g} s. Give it a higher max_seconds, or use advance()."
                    )
                self._move(clock, moment)
                self._run(propagate, None, limit)
        return self._report(before, propagate=False, looked=propagate)

    async def _in_thread(self, function: Callable[..., Counts], *args: Any, **kwargs: Any) -> Counts:
        # The thread in which Django runs what is synchronous: the test's connection is there, and from there
        # async_to_sync finds its way back to the loop of the test.
        from asgiref.sync import sync_to_async

        return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)

    def _run(self, propagate: bool, only: str | None, limit: int) -> None:
        __tracebackhide__ = True
        if limit < 1:
            raise ValueError(f"limit={limit!r}: give a number above 0")
        self._engine.limit = limit
        if propagate:
            self._raise_earlier()
        while True:
            before = len(self._execution.outcomes)
            if not self._engine.step(only):
                return
            if propagate:
                self._raise_failure(before)

    def _report(self, before: int, propagate: bool, looked: bool = False) -> Counts:
        __tracebackhide__ = True
        if propagate:
            self._raise_failure(before)
        fresh = self._execution.outcomes[before:]
        counts = Counter(outcome.state for outcome in fresh)
        return Counts(counts, lambda: self._looked_at.update(outcome.id for outcome in fresh))

    def _raise_failure(self, before: int) -> None:
        __tracebackhide__ = True
        for outcome in self._execution.outcomes[before:]:
            if isinstance(outcome, TaskFailure):
                self._raise_outcome(outcome)

    def _raise_earlier(self) -> None:
        """Raise the failure of a handler that nobody has heard of, such as of a receiver of before_task_publish."""
        __tracebackhide__ = True
        for outcome in self._execution.outcomes:
            if isinstance(outcome, HandlerFailure) and outcome.id not in self._looked_at:
                self._raise_outcome(outcome)

    def _raise_outcome(self, outcome: TaskFailure) -> None:
        __tracebackhide__ = True
        self._looked_at.add(outcome.id)
        note = f"in task {outcome.call}\n  id {outcome.id}" + (
            f", enqueued at {outcome.where}" if outcome.where else ""
        )
        for error in outcome.handlers:
            note += f"\n  {error.handler} failed: {error.exception!r}"
        if note not in getattr(outcome.exception, "__notes__", ()):
            outcome.exception.add_note(note)
        raise outcome.exception

    # --------------------------------------------------------------------------- time

    @contextmanager
    def _time(self) -> Generator[VirtualClock]:
        """The clock of one step: for each kind of step alike, so that a task which sleeps behaves the same in all."""
        self._check_active()
        clock = active_clock()
        if clock is not None:
            yield clock
        elif time_is_real():
            # Not the next whole second: what was enqueued before has its eta from the real time, and may not come
            # nearer to it. 64ths are exact as floats and as microseconds, so that sums still come out exact.
            yield self._stack.enter_context(VirtualClock(math.ceil(time.time() * 64) / 64))
        elif is_frozen():
            raise BackchannelError(
                "freezegun holds the time, so that task_queue can't move it. Fix: take the fixture virtual_clock and "
                "virtual_clock.move_to(...), or time_machine.travel(...), in place of freeze_time."
            )
        else:
            with clock_for_a_step() as clock:
                yield clock

    def _still(self) -> AbstractContextManager[object]:
        self._check_active()
        # freezegun's time can't be moved, but what is due in it can be run.
        return contextlib.nullcontext() if is_frozen() and active_clock() is None else self._time()

    def _move(self, clock: VirtualClock, moment: float) -> None:
        distance = moment - clock.time()
        if distance > 0:
            clock.shift(distance)

    def beat(self, until: datetime | timedelta | float) -> list[EnqueuedTask]:
        """Move time, and enqueue what the project's beat schedule says, as ``celery beat`` would.

        Nothing is run: step the queue afterwards.

        Args:
            until: how far: seconds or a timedelta from now, or a timezone-aware moment.

        Returns:
            What was enqueued, in order.

        Raises:
            ValueError: the moment has passed, or has no time zone.
            celery.beat.SchedulingError: an entry can't be enqueued.
        """
        from .beat import run_beat

        self._check_thread("beat")
        with self.capture() as sent, self._time() as clock:
            run_beat(self.app, clock, until, self.log)
        return sent

    # ------------------------------------------------------------------------ results

    def wait_until(self, timeout: float | None) -> float | None:
        """The moment at which a wait for a result is over; None where it has no timeout, or time can't be moved."""
        if timeout is None or self._engine.stepping or (is_frozen() and active_clock() is None):
            return None
        with self._time() as clock:
            return clock.time() + timeout

    def wait_step(self, task_id: str, until: float | None = None) -> None:
        """Do one step for somebody who waits for a result, or raise why it will not come.

        Args:
            task_id: the task.
            until: how far time may move, in seconds since the epoch; None lets it stand.

        Raises:
            ResultUnavailable: the message says why.
        """
        self._check_active()
        if self._engine.stepping:
            raise ResultUnavailable(
                f"the result of task {task_id} was waited for inside a task: the worker's process would wait for "
                "itself. Use a chain, a group or a chord instead (Celery's documentation: Avoid launching "
                "synchronous subtasks)."
            )
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise MisusedQueue(
                "result.get() was called from a coroutine before its task has run. Fix: await task_queue.arun() first."
            )
        with self._still():
            stepped = self._engine.step() or (until is not None and self._wait(until))
        if not stepped:
            raise ResultUnavailable(why_no_result(task_id, self._engine, self._recorder, self._execution.outcomes))

    def _wait(self, until: float) -> bool:
        """Move time to what is due next, or to the end of the wait; whether anything is due."""
        moment = self._engine.next_moment()
        due = moment is not None and moment <= until
        with self._time() as clock:
            self._move(clock, moment if moment is not None and due else until)
        return due

    def looked_at(self, task_id: str) -> None:
        """Somebody asked for the state of a task; while a task runs, that is Celery itself."""
        if not self._active or not self._engine.stepping:
            self._looked_at.add(task_id)

    @property
    def failures(self) -> list[TaskFailure]:
        """The tasks that failed so far, in order, each with ``name``, ``args``, ``exception``."""
        found = [outcome for outcome in self._execution.outcomes if isinstance(outcome, TaskFailure)]
        self._looked_at.update(outcome.id for outcome in found)
        return found

    @property
    def succeeded(self) -> list[TaskSuccess]:
        """The tasks that returned so far, in order, each with ``name``, ``args``, ``result``."""
        return [outcome for outcome in self._execution.outcomes if isinstance(outcome, TaskSuccess)]

    @property
    def retries(self) -> list[TaskRetry]:
        """The retries so far, in order, each with ``name``, ``countdown`` in seconds, ``exc``."""
        return [outcome for outcome in self._execution.outcomes if isinstance(outcome, TaskRetry)]

    @property
    def outcomes(self) -> list[Outcome]:
        """What came of each delivery so far, in order, of whatever state."""
        return list(self._execution.outcomes)

    @property
    def events(self) -> list[TaskEvent]:
        """All events of tasks so far, in order."""
        return self.log.of(TaskEvent)

    # ------------------------------------------------------------------------- faults

    def kill_worker(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Kill the worker at the next task: the whole process tree, as ``kill -9`` or the end of a container does.

        What it has not acknowledged is delivered again: by RabbitMQ at once, on Redis after the visibility timeout.
        A new worker takes its place.

        Args:
            when: ``before_body`` or ``after_body`` of the task's function.
            task: the task, or its name; the next one whatever it is by default.
            worker: the name of the worker.
        """
        self._arm("kill_worker", when, task, worker)

    def lose_child(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Let the process that runs the next task die, as out of memory does; the worker lives on and notices.

        Args:
            when: ``before_body`` or ``after_body``.
            task: as for :meth:`kill_worker`.
            worker: as for :meth:`kill_worker`.
        """
        self._arm("lose_child", when, task, worker)

    def hit_time_limit(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Let the next task hit its hard time limit: its process is killed, and the task fails.

        Args:
            when: ``before_body`` or ``after_body``.
            task: as for :meth:`kill_worker`.
            worker: as for :meth:`kill_worker`.
        """
        self._arm("time_limit", when, task, worker)

    def redeliver(self, task: Any = None) -> EnqueuedTask:
        """Deliver a message once more that was done, as a broker does which has not received its acknowledgement.

        Args:
            task: the task, or its name; the last that was run by default.

        Returns:
            The message, which waits again.

        Raises:
            NothingToRun: no such task was run.
        """
        name = _name_of(task)
        for message in reversed(self._engine.done):
            if name in (None, message.history.name):
                self._broker.deliver_again(message)
                again = next(m for m in self._engine.waiting() if m.history is message.history)
                return self._recorder.task(again)
        wanted = "no task" if name is None else f"no {name}"
        raise NothingToRun(f"redeliver(): {wanted} was run yet, so there is nothing to deliver once more")

    def refuse_publish(self, times: int = 1) -> None:
        """Let the broker refuse the next messages: publishing raises ``kombu.exceptions.OperationalError``.

        It stands for a broker that can't be reached for as long as Celery retries the publishing.

        Args:
            times: how many messages.
        """
        if times < 1:
            raise ValueError(f"times={times!r}: give a number above 0")
        self._broker.refusals += times

    def _arm(self, kind: str, when: str, task: Any, worker: str | None) -> None:
        only = None if worker is None else self._worker(worker)
        self._execution.faults.append(Fault(kind, check_moment(when), _name_of(task), only))

    def _worker(self, name: str) -> str:
        if name not in self._engine.workers:
            raise ValueError(f"there is no worker {name!r}: choose one of {', '.join(map(repr, self._engine.workers))}")
        return name


def _name_of(task: Any) -> str | None:
    if task is None or isinstance(task, str):
        return task
    name = getattr(task, "name", None)
    if not isinstance(name, str):
        raise BackchannelError(f"{task!r} is no task: give a task, or the name of one")
    return name
