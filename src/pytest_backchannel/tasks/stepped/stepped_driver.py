"""The driver of `task_queue` over the simulated broker: Celery's own worker in this process, in virtual time."""

from __future__ import annotations

import functools
import inspect
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any, Self

from ...awaiting import require_loop, running_loop
from ...clock.virtual import VirtualClock, active_clock, clock_for_a_step, is_frozen, time_is_real
from ...database.failing_write import operational_error
from ...errors import BackchannelError, MisusedQueue, NothingToRun, ResultUnavailable
from ...events import EventLog, current_log
from .. import verdicts
from ..broker_guard import refuse_real_brokers
from ..driver import NOT_BEGUN, Phase, Step, check_phase
from ..expect.messages import EnqueuedTask, decode
from ..expect.sending import Sending
from ..outcomes import Counts
from ..records import WriteFailed
from .backend import SHARED, backend_for
from .broker import Broker, StoredMessage, has_task_header
from .engine import Engine
from .explain import nothing_due, why_no_result
from .installation import Installation
from .kept import kit as kits
from .kept.kit import Kit
from .pool.body_faults import BodyFault, SlowBody, WriteFault
from .pool.execution import Execution
from .pool.faults import Fault
from .pool.outcome_book import OutcomeBook
from .pool.slow_calls import SlowCall, TakesTime, task_name
from .pool.task_signals import TaskSignals
from .recorder import Recorder
from .transport import attach, detach, transport_for

ORDERS = ("fifo", "random")


class SteppedDriver:
    """A :class:`~pytest_backchannel.tasks.driver.Driver` that simulates the broker and steps the worker.

    Args: those of :class:`~pytest_backchannel.tasks.queue.TaskQueue`, which makes it.

    Raises:
        ValueError: a value that is none of the valid choices.
    """

    blocks = "where tasks could neither use the database nor async_to_sync"

    def __init__(
        self,
        app: Any,
        *,
        profile: str,
        broker_options: Mapping[str, Any] | None,
        visibility_timeout: float | None,
        result_backend: str,
        workers: Mapping[str, Sequence[str]] | None,
        queues: Sequence[str] | None,
        order: str,
        seed: int,
        redeliver_all: bool,
        log: EventLog | None,
        in_transaction: Callable[[], bool] | None,
        why_unregistered: Callable[[Any], str | None] | None = None,
        conf: Mapping[str, Any] | None = None,
        reuse: bool = True,
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
        self.recorder = Recorder(self.app, self.log, in_transaction)
        self._sending = Sending(self.app, self.recorder.latest.__contains__)
        self.sending: Sending | None = self._sending
        self.broker = Broker(profile, options=options, listener=self.recorder, is_task=self._is_task)
        self.recorder.broker = self.broker
        book = OutcomeBook(self.recorder)
        self.execution = Execution(self.app, book, self.broker)
        self.signals = TaskSignals(self.app, book, why_unregistered)
        self.workers = list(workers or ("worker",))
        self.outcomes = book.outcomes
        self.captures = self.recorder.captures
        self.seen: set[str] = set()
        self._backend_kind = result_backend
        self._conf = dict(conf or {})
        self._reuse = reuse
        self._workers = workers
        self._queues = queues
        self._stepping: dict[str, Any] = {"order": order, "seed": seed, "redeliver_all": redeliver_all}
        self._made: Engine | None = None
        self._seen_waiting: tuple[Any, list[EnqueuedTask]] = None, []
        self._phase: Phase = "new"
        self._stack = ExitStack()

    # ------------------------------------------------------------------ begin and end

    def __enter__(self) -> Self:
        queues = self._worker_queues()
        spec = self.broker.profile, tuple(queues.items()), tuple(map(repr, self._conf.items()))
        kit = kits.take(self.app, spec) if self._reuse else None
        transport = transport_for(self.broker.profile) if kit is None else kit.transport
        attach(
            transport,
            self.broker,
            pump=lambda: self.engine.pump(),
            wake=self.start,
            refused=self.recorder.refused,
        )
        installation = Installation(
            self.app,
            transport,
            lambda: self._backend(kit),
            kit=kit,
            around_send=self._sending.send,
            settings=self._conf,
        )
        with ExitStack() as stack:
            stack.callback(detach, transport)
            if kit is not None:
                stack.callback(kits.give_back, kit)
            stack.enter_context(installation)
            stack.enter_context(self._sending)
            stack.enter_context(refuse_real_brokers())
            self._made = Engine(
                installation=installation, execution=self.execution, signals=self.signals, workers=queues,
                **self._stepping,
            )  # fmt: skip
            self.signals.connect()
            stack.callback(self.signals.disconnect)
            stack.callback(self._made.stop)
            self._stack = stack.pop_all()
        self.log.at_end(self._check)
        self._phase = "active"
        return self

    def __exit__(self, *error: object) -> None:
        self._phase = "ended"
        self._stack.close()

    def _backend(self, kit: Kit | None) -> Any:
        make = functools.partial(backend_for, self._backend_kind, self.app)
        backend = make() if kit is None else kit.backend(self._backend_kind, make, SHARED)
        backend.stepper = self
        return backend

    @property
    def engine(self) -> Engine:
        """What steps the workers; it is there also when the driver has ended."""
        if self._made is None:
            raise MisusedQueue(NOT_BEGUN)
        return self._made

    def _worker_queues(self) -> dict[str, tuple[str, ...] | None]:
        if self._workers is not None:
            return {name: tuple(queues) for name, queues in self._workers.items()}
        if self._queues is not None:
            return {"worker": tuple(self._queues)}
        declared = self.app.conf.task_queues
        if not declared:
            return {"worker": None}
        names = declared if isinstance(declared, Mapping) else [queue.name for queue in declared]
        return {"worker": tuple(dict.fromkeys(names))}

    def _is_task(self, raw: Mapping[str, Any]) -> bool:
        if has_task_header(raw):
            return True
        if self.app.conf.task_protocol != 1 or not raw["properties"].get("correlation_id"):
            return False
        return decode(raw, app=self.app).unreadable is None

    def _check(self) -> None:
        if self._phase == "active":
            verdicts.unserved_queues(self.engine, self.log)
            verdicts.failed_tasks(self.outcomes, self.seen, self.log, self._followers)
            verdicts.late_acknowledgements(self.engine, self.log)
            verdicts.late_etas(self.engine, self.log)
            verdicts.expired_tasks(self.engine, self.seen, self.log)
            verdicts.pending_chords(self.engine, self.app, self.log)

    def _followers(self, task_id: str) -> set[str]:
        """The ids of what comes after a task in its workflow, and can't come without it."""
        done = [message for message in self.engine.done if message.history.id == task_id]
        return verdicts.followers(self.recorder.task(done[-1])) if done else set()

    # ----------------------------------------------------- what waits, what has run

    def catch_up(self) -> None:
        """Nothing happens elsewhere."""

    def waiting(self) -> list[EnqueuedTask]:
        """The tasks in a queue, or with a worker that has not begun them; read only."""
        version = self.engine.waiting_version()
        if self._seen_waiting[0] != version:
            self._seen_waiting = version, self._tasks(self.engine.waiting())
        return self._seen_waiting[1]

    def count_waiting(self) -> int:
        """How many they are."""
        return len(self.engine.waiting())

    def have_run(self) -> list[EnqueuedTask]:
        """The tasks that have been run."""
        return self._tasks(self.engine.done)

    def reserved(self, worker: str) -> list[EnqueuedTask]:
        """The tasks that a worker has received and not begun."""
        holder = self.engine.workers[worker]
        held = [message for message in self.recorder.held.values() if message.holder is holder]
        return self._tasks(sorted(held, key=lambda message: message.history.number))

    def _tasks(self, messages: Sequence[StoredMessage]) -> list[EnqueuedTask]:
        return [self.recorder.task(message) for message in messages]

    # ----------------------------------------------------------------------- running

    def start(self) -> None:
        """Start the workers, unless it is one of them that asks."""
        self.engine.wake()

    def run_one(self, step: Step) -> None:
        """Run the next task that is due.

        Raises:
            NothingToRun: none is; the message says what waits, and for what.
        """
        __tracebackhide__ = True
        if not self.engine.step(step.worker, step.selection):
            raise NothingToRun(nothing_due(self.engine, self.recorder, step.worker, step.selection))

    def run(self, step: Step) -> None:
        """Run until nothing is due, or a task has failed."""
        __tracebackhide__ = True
        self.engine.limit = step.limit
        step.raise_failure()  # of a handler, which may have failed as a task was sent
        while self.engine.steps(step.worker, step.selection, after=lambda: step.check_retries(self.app)):
            step.raise_failure()
            step.check_retries(self.app)

    def run_for(self, seconds: float, step: Step) -> None:
        """Run what is due, and move time, running what comes due on the way, at its own moment."""
        __tracebackhide__ = True
        end = time.time() + seconds
        self.run(step)
        while (moment := self.next_moment()) is not None and moment <= end:
            self.move_to(moment)
            self.run(step)
        self.move_to(end)
        self.run(step)

    async def in_thread(self, function: Callable[..., Counts], *args: Any, **kwargs: Any) -> Counts:
        """Call a function in the thread in which Django runs what is synchronous.

        The test's connection is there, and from there async_to_sync finds its way back to the loop of the test.
        """
        from asgiref.sync import sync_to_async

        require_loop(f"task_queue.a{function.__name__}()")
        return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)

    # -------------------------------------------------------------------------- time

    @contextmanager
    def time(self, *, moves: bool) -> Generator[None]:
        """The virtual time of one step: for each kind of step alike, so that a task which sleeps behaves the same."""
        check_phase(self._phase)
        # freezegun's time can't be moved, but what is due in it can be run.
        if active_clock() is not None or (is_frozen() and not moves):
            yield
        elif is_frozen():
            raise BackchannelError(
                "freezegun holds the time, so that task_queue can't move it. Fix: take the fixture virtual_clock and "
                "virtual_clock.move_to(...), or time_machine.travel(...), in place of freeze_time."
            )
        elif time_is_real():
            # Not the next whole second: what was enqueued before has its eta from the real time, and may not come
            # nearer to it. 64ths are exact as floats and as microseconds, so that sums still come out exact.
            self._stack.enter_context(VirtualClock(math.ceil(time.time() * 64) / 64))
            yield
        else:
            with clock_for_a_step():
                yield

    def next_moment(self) -> float | None:
        """When something will next be due."""
        return self.engine.next_moment()

    def move_to(self, moment: float) -> None:
        """Move the virtual clock, and never back."""
        distance = moment - time.time()
        if distance > 0:
            self._clock.shift(distance)

    def beat(self, until: datetime | timedelta | float) -> None:
        """Move time, and enqueue what the beat schedule says."""
        from ..beat import run_beat

        with self.recorder.firing():
            run_beat(self.app, self._clock, until, self.log)

    @property
    def _clock(self) -> VirtualClock:
        clock = active_clock()
        assert clock is not None  # a step that moves time has entered one
        return clock

    # ----------------------------------------------- results, as the result backend asks for them (backend.Stepper)

    def wait_until(self, timeout: float | None) -> float | None:
        """The moment at which a wait for a result is over; None where it has no timeout, or time can't be moved."""
        if timeout is None or self.engine.stepping or (is_frozen() and active_clock() is None):
            return None
        with self.time(moves=True):
            return time.time() + timeout

    def wait_step(self, task_id: str, until: float | None = None) -> None:
        """Do one step for somebody who waits for a result, or raise why it will not come.

        Args:
            task_id: the task.
            until: how far time may move, in seconds since the epoch; None lets it stand.

        Raises:
            ResultUnavailable: the message says why.
        """
        check_phase(self._phase)
        if self.engine.stepping:
            raise ResultUnavailable(
                f"the result of task {task_id} was waited for inside a task: the worker's process would wait for "
                "itself. Use a chain, a group or a chord instead (Celery's documentation: Avoid launching "
                "synchronous subtasks)."
            )
        if running_loop() is not None:
            raise MisusedQueue(
                "result.get() was called from a coroutine before its task has run. Fix: await task_queue.arun() first."
            )
        with self.time(moves=False):
            stepped = self.engine.step() or (until is not None and self._wait(until))
        if not stepped:
            raise ResultUnavailable(why_no_result(task_id, self.engine, self.recorder, self.outcomes))

    def _wait(self, until: float) -> bool:
        """Move time to what is due next, or to the end of the wait; whether anything is due."""
        moment = self.next_moment()
        due = moment is not None and moment <= until
        self.move_to(moment if moment is not None and due else until)
        return due

    def looked_at(self, task_id: str) -> None:
        """Somebody asked for the state of a task; while a task runs, that is Celery itself."""
        if self._phase != "active" or not self.engine.stepping:
            self.seen.add(task_id)

    # ------------------------------------------------------------------------- faults

    def arm(self, fault: Fault) -> None:
        """Let something go wrong with the next task that a fault fits."""
        self.execution.faults.append(fault)

    def redeliver(self, name: str | None) -> EnqueuedTask | None:
        """Deliver the last message once more that was done, of the task of this name."""
        for message in reversed(self.engine.done):
            if name in (None, message.history.name):
                self.broker.deliver_again(message)
                again = next(m for m in self.engine.waiting() if m.history is message.history)
                return self.recorder.task(again)
        return None

    def refuse_publish(self, times: int) -> None:
        """Let the broker refuse the next messages."""
        self.broker.refusals += times

    def slow(self, target: Any, seconds: float) -> ExitStack:
        """Let a task or a function take virtual time, each time that it is called, until what is returned is closed."""
        with self.time(moves=True):  # where time can't be moved, the test hears of it here
            pass
        ending = ExitStack()
        name = task_name(target, self.app)
        if name is not None:
            slow = SlowBody(
                name, TakesTime(self.time, self.log, name, seconds), inspect.unwrap(self.app.tasks[name].run)
            )
            self.execution.body_faults.append(slow)
            ending.callback(self._forget, slow)
        else:
            call = SlowCall(target, self.app)
            ending.enter_context(call.taking(TakesTime(self.time, self.log, call.name, seconds)))
        self._stack.callback(ending.close)
        return ending

    def fail_write(
        self, nth: int, error: type[Exception] | Exception | None, task: str | None, worker: str | None
    ) -> None:
        """Let a statement of the next body fail that fits and has as many that write."""
        check_phase(self._phase)
        unreachable = operational_error()
        self.execution.body_faults.append(
            WriteFault(nth, unreachable if error is None else error, task, worker, failed=self._write_failed)
        )

    def _write_failed(self, fault: WriteFault, number: int, statement: str) -> None:
        self._forget(fault)
        self.log.record(WriteFailed, number=number, statement=statement)

    def _forget(self, fault: BodyFault) -> None:
        """Let nothing of it happen any more."""
        faults = self.execution.body_faults
        faults[:] = [other for other in faults if other is not fault]
