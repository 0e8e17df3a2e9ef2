"""`task_queue`, as a test sees it: what waits, what runs it, what came of it, and what can go wrong.

It is one class for each carrier of the messages; what the carriers do differently is behind ``driver.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, NoReturn, Self

from celery.app.base import Celery

from ..awaiting import must_await, running_loop
from ..clock.virtual import seconds_of
from ..errors import BackchannelError, MisusedQueue, NotForReal, NothingToRun
from ..events import EventLog
from .driver import DEFAULT_LIMIT, Driver, Step, Unable, see
from .expect.messages import EnqueuedTask
from .expect.selection import select
from .expect.waiting import WaitingTasks
from .outcomes import Counts, Outcome, TaskFailure, TaskRetry, TaskSuccess
from .records import TaskEvent
from .stepped.pool.faults import BEFORE, Fault, check_moment
from .stepped.stepped_driver import SteppedDriver

MAX_IDLE = 366 * 86400.0
"""How far ``run_until_idle()`` goes, in seconds."""


class TaskQueue(WaitingTasks):
    """The tasks that wait, and the worker that runs them when it is asked to.

    A sequence of the messages that now wait, in the order of their publishing: in a queue, or received by the worker
    and held for their eta or their turn. A context manager: within it, the app publishes to a simulated broker, and
    everything of the app is as before when it ends. Celery's own code publishes, receives, runs, retries and
    acknowledges; see docs/explanation/stepped-worker.md for what is simulated.

    Its steps happen in the time of the virtual clock. Without one, the queue starts its own at its first step, and
    keeps it to its end. A step inside of a ``time_machine.travel()`` moves the time of that one.

    The fixture gives the same class over a real broker and a worker process as well (``broker=`` of its marker). There
    a step lets the worker go on until the broker has nothing left that is due, so that what waits behind a failed task
    has run as well when ``run()`` raises; and time is real. What would take more than 5 s of it, and what only a
    simulation can do, raises :class:`~pytest_backchannel.errors.NotForReal`, which the fixture turns into a skip.

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
        redeliver_all: deliver each message that is no retry once more when it is done, as a broker may: tasks have to
            stand it.
        log: where events go; the log of the running test by default.
        in_transaction: whether the project's code is inside a transaction of its own, now.
        why_unregistered: says of a task that this process has why a worker of production does not know it, and None
            where it does: the message of such a task is thrown away, as there. Without it each task is known.
        conf: settings of Celery that hold within, by Celery's own names, such as those of production that the tests say
            nothing of. A task has the serialiser and the time limits unless it has others than the app.
        reuse: whether the worker, the producer and the result backend of the app's last queue of the same kind are used
            again, where nothing has changed of what they were made of; nothing of that queue is left in them.

    Raises:
        ValueError: a value that is none of the valid choices.

    Example:
        >>> with TaskQueue(app) as task_queue:
        ...     send_invoice_email.delay(7)
        ...     task_queue.assert_enqueued(send_invoice_email.s(7))
        ...     task_queue.run()
        {'SUCCESS': 1}
    """

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
        why_unregistered: Callable[[Any], str | None] | None = None,
        conf: Mapping[str, Any] | None = None,
        reuse: bool = True,
    ) -> None:
        self._driver: Driver = SteppedDriver(
            app,
            profile=profile,
            broker_options=broker_options,
            visibility_timeout=visibility_timeout,
            result_backend=result_backend,
            workers=workers,
            queues=queues,
            order=order,
            seed=seed,
            redeliver_all=redeliver_all,
            log=log,
            in_transaction=in_transaction,
            why_unregistered=why_unregistered,
            conf=conf,
            reuse=reuse,
        )

    @classmethod
    def over(cls, driver: Driver) -> Self:
        """A queue over another driver than the stepped one.

        Args:
            driver: what carries and runs the messages.
        """
        queue = cls.__new__(cls)
        queue._driver = driver
        return queue

    def __enter__(self) -> Self:
        self._driver.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._driver.__exit__(*error)

    @property
    def app(self) -> Any:
        """The Celery app."""
        return self._driver.app

    @property
    def log(self) -> EventLog:
        """The log with all events of the test."""
        return self._driver.log

    def reserved(self, worker: str = "worker") -> list[EnqueuedTask]:
        """The tasks that a worker has received and not begun: no other worker can have them.

        Args:
            worker: the worker's name, as in ``workers=``.

        Raises:
            ValueError: there is no worker of this name.
        """
        self._check_worker(worker)
        return self._driver.reserved(worker)

    @contextmanager
    def capture(self) -> Generator[list[EnqueuedTask]]:
        """Collect what the block enqueues, whether or not it is run there.

        Example:
            >>> with task_queue.capture() as sent:
            ...     client.post("/invoices/7/email/")
            >>> assert [task.name for task in sent] == ["billing.tasks.send_invoice_email"]
        """
        sent: list[EnqueuedTask] = []
        captures = self._driver.captures
        captures.append(sent)
        try:
            yield sent
        finally:
            self._driver.catch_up()
            captures[:] = [other for other in captures if other is not sent]

    # ----------------------------------------------------------------------- stepping

    def run_one(
        self,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        worker: str | None = None,
        after: float | timedelta = 0,
    ) -> Counts:
        """Run the next task that is due.

        Args:
            only: run one of these, and leave all else where it is: a task, a task's name, a signature (with its
                arguments, by ``==``), or a list of them.
            queue: run one that waits in this queue: a name, or a list of names.
            propagate: raise what the task raises; otherwise only record it in :attr:`failures`.
            worker: the name of the worker that runs one; any by default.
            after: as for :meth:`run`.

        Returns:
            How many tasks ended in each of Celery's states.

        Raises:
            NothingToRun: nothing is due; the message says what waits, and for what.
            NotForReal: several tasks are due at a real broker: a worker process can't be stepped.
            BadExpectation: ``only`` can't be a task, or nobody has registered it.
            Exception: what the task raises.
        """
        __tracebackhide__ = True
        step = self._step("run_one", propagate, only, queue, worker=worker)
        with self._behind("run_one", after, step):
            self._driver.run_one(step)
        return step.counts()

    def run(
        self,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        worker: str | None = None,
        limit: int = DEFAULT_LIMIT,
        after: float | timedelta = 0,
    ) -> Counts:
        """Run all tasks that are due now, and those that they enqueue, until nothing is due.

        Args:
            only: run these, and leave all else where it is, also what these enqueue: a task, a task's name, a
                signature (with its arguments, by ``==``), or a list of them.
            queue: run what waits in this queue: a name, or a list of names.
            propagate: raise what a task raises, at once; what waits behind it stays, and another ``run()`` goes on.
                Otherwise only record it in :attr:`failures`.
            worker: the name of the one worker that runs; all by default.
            limit: how many tasks may lead to one another, and how often one message may be delivered.
            after: how long the queue is behind, in seconds or as a timedelta: the workers were busy, and time moves
                that far before they get the first message. What expires meanwhile has expired.

        Returns:
            How many tasks ended in each of Celery's states, such as ``{"SUCCESS": 2, "RETRY": 1}``.

        Raises:
            EndlessLoop: the limit is reached; the message names the cycle.
            BadExpectation: ``only`` can't be a task, or nobody has registered it.
            TypeError: ``after`` is no number.
            ValueError: it is negative or not finite.
            NotForReal: a worker process can't be told to leave a task alone (``only``), or takes from another queue
                already (``queue``), or the wait is longer than 5 s (``after``).
            NothingToRun: no task has ever reached this queue, and one went to another Celery app.
            Exception: what a task raises, with a note that names the task, its id, its arguments and its call site.
        """
        __tracebackhide__ = True
        step = self._step("run", propagate, only, queue, worker=worker, limit=limit)
        with self._behind("run", after, step):
            self._driver.run(step)
        counts = step.counts()
        sending = self._driver.sending
        if sending is not None and sending.elsewhere and not self._driver.outcomes and not self._driver.count_waiting():
            raise NothingToRun(f"No task has reached this task_queue: {sending.elsewhere[0].told(self.app)}")
        return counts

    def advance(
        self,
        seconds: float | timedelta,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        limit: int = DEFAULT_LIMIT,
    ) -> Counts:
        """Run what is due, and move time, running what comes due on the way, at its own moment.

        Args:
            seconds: how far, in seconds or as a timedelta.
            only: as for :meth:`run`.
            queue: as for :meth:`run`.
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
        distance = seconds_of(seconds, "advance")
        step = self._step("advance", propagate, only, queue, limit=limit)
        with self._asking(f"advance({_shown(step, f'{distance:g}')})"), self._driver.time(moves=True):
            self._driver.run_for(distance, step)
        return step.counts()

    def run_until_idle(
        self,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        limit: int = DEFAULT_LIMIT,
        max_seconds: float = MAX_IDLE,
        after: float | timedelta = 0,
    ) -> Counts:
        """Run everything, and move time to whatever is still to come, until nothing waits: all retries, all etas.

        Args:
            only: as for :meth:`run`; time moves until none of these waits.
            queue: as for :meth:`run`, likewise.
            propagate: as for :meth:`run`.
            limit: as for :meth:`run`.
            max_seconds: how far time may move, in seconds; a year by default.
            after: as for :meth:`run`.

        Returns:
            How many tasks ended in each of Celery's states.

        Raises:
            EndlessLoop: the limit is reached; the message names the cycle.
            MisusedQueue: something is due only after ``max_seconds``.
            Exception: as for :meth:`run`.
        """
        __tracebackhide__ = True
        step = self._step("run_until_idle", propagate, only, queue, limit=limit)
        driver = self._driver
        with self._behind("run_until_idle", after, step, moves=True):
            start = time.time()
            driver.run(step)
            while (moment := driver.next_moment()) is not None:
                if step.leaves(driver.waiting()):
                    break
                if moment - start > max_seconds:
                    raise MisusedQueue(
                        f"something is due only in {moment - start:.0f} s, and run_until_idle() moves time by at most "
                        f"{max_seconds:g} s. Give it a higher max_seconds, or use advance()."
                    )
                driver.move_to(moment)
                driver.run(step)
        return step.counts()

    @must_await
    async def arun_one(
        self,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        worker: str | None = None,
        after: float | timedelta = 0,
    ) -> Counts:
        """:meth:`run_one`, from a coroutine."""
        return await self._driver.in_thread(
            self.run_one, only=only, queue=queue, propagate=propagate, worker=worker, after=after
        )

    @must_await
    async def arun(
        self,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        worker: str | None = None,
        limit: int = DEFAULT_LIMIT,
        after: float | timedelta = 0,
    ) -> Counts:
        """:meth:`run`, from a coroutine: tasks may use ``async_to_sync``, on the loop of the test."""
        return await self._driver.in_thread(
            self.run, only=only, queue=queue, propagate=propagate, worker=worker, limit=limit, after=after
        )

    @must_await
    async def aadvance(
        self,
        seconds: float | timedelta,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        limit: int = DEFAULT_LIMIT,
    ) -> Counts:
        """:meth:`advance`, from a coroutine."""
        return await self._driver.in_thread(
            self.advance, seconds, only=only, queue=queue, propagate=propagate, limit=limit
        )

    @must_await
    async def arun_until_idle(
        self,
        *,
        only: Any = None,
        queue: Any = None,
        propagate: bool = True,
        limit: int = DEFAULT_LIMIT,
        max_seconds: float = MAX_IDLE,
        after: float | timedelta = 0,
    ) -> Counts:
        """:meth:`run_until_idle`, from a coroutine."""
        return await self._driver.in_thread(
            self.run_until_idle,
            only=only,
            queue=queue,
            propagate=propagate,
            limit=limit,
            max_seconds=max_seconds,
            after=after,
        )

    def beat(self, until: datetime | timedelta | float) -> list[EnqueuedTask]:
        """Move time, and enqueue what the project's beat schedule says, as ``celery beat`` would.

        Nothing is run: step the queue afterwards.

        Args:
            until: how far: seconds or a timedelta from now, or a timezone-aware moment.

        Returns:
            What was enqueued, in order.

        Raises:
            ValueError: the moment has passed, or has no time zone.
            NotForReal: the broker is a real one.
            celery.beat.SchedulingError: an entry can't be enqueued.
        """
        self._check_thread("beat")
        with self._asking("beat()"), self.capture() as sent, self._driver.time(moves=True):
            self._driver.beat(until)
        return sent

    def _step(
        self,
        method: str,
        propagate: bool,
        only: Any,
        queue: Any,
        *,
        worker: str | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Step:
        """What one call of a stepping method may run, checked."""
        __tracebackhide__ = True
        self._check_thread(method)
        self._check_worker(worker)
        return Step(
            outcomes=self._driver.outcomes,
            seen=self._driver.seen,
            propagate=propagate,
            worker=worker,
            selection=select(only, queue, app=self.app),
            limit=limit,
        )

    @contextmanager
    def _behind(self, method: str, after: float | timedelta, step: Step, *, moves: bool = False) -> Generator[None]:
        """Ask the driver for one step, which begins when its queues have been left alone for some time."""
        __tracebackhide__ = True
        behind = seconds_of(after, f"{method}(after=…)")
        shown = _shown(step, *([f"after={behind:g}"] if behind else []))
        with self._asking(f"{method}({shown})"), self._driver.time(moves=moves or bool(behind)):
            if behind:
                self._driver.move_to(time.time() + behind)
            yield

    def _check_thread(self, method: str) -> None:
        if running_loop() is not None:
            raise MisusedQueue(
                f"task_queue.{method}() was called from a coroutine, {self._driver.blocks}. "
                f"Fix: await task_queue.a{method}()."
            )

    def _check_worker(self, name: str | None) -> None:
        if name is not None and name not in self._driver.workers:
            known = ", ".join(map(repr, self._driver.workers))
            raise ValueError(f"there is no worker {name!r}: choose one of {known}")

    @contextmanager
    def _asking(self, call: str) -> Generator[None]:
        """Within the block the driver is asked for something: the one place where what it can't do becomes an error."""
        __tracebackhide__ = True
        try:
            yield
        except Unable as answer:
            not_for_real(f"task_queue.{call}", str(answer))

    # ------------------------------------------------------------------------ results

    @property
    def failures(self) -> list[TaskFailure]:
        """The tasks that failed so far, in order, each with ``name``, ``args``, ``exception``."""
        found = [outcome for outcome in self.outcomes if isinstance(outcome, TaskFailure)]
        see(self._driver.seen, found)
        return found

    @property
    def succeeded(self) -> list[TaskSuccess]:
        """The tasks that returned so far, in order, each with ``name``, ``args``, ``result``."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, TaskSuccess)]

    @property
    def retries(self) -> list[TaskRetry]:
        """The retries so far, in order, each with ``name``, ``countdown`` in seconds, ``exc``."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, TaskRetry)]

    @property
    def outcomes(self) -> list[Outcome]:
        """What came of each delivery so far, in order, of whatever state."""
        self._driver.catch_up()
        return list(self._driver.outcomes)

    @property
    def events(self) -> list[TaskEvent]:
        """All events of tasks so far, in order."""
        self._driver.catch_up()
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

    def lose_child(self, when: str = BEFORE, *, times: int = 1, task: Any = None, worker: str | None = None) -> None:
        """Let the process that runs the next task die, as out of memory does; the worker lives on and notices.

        Args:
            when: ``before_body`` or ``after_body``.
            times: how many tasks, or how many runs of the one that goes back to its queue for it
                (``reject_on_worker_lost``): a message that kills each process that it is given to.
            task: as for :meth:`kill_worker`.
            worker: as for :meth:`kill_worker`.
        """
        for _ in range(_checked_times("lose_child", times)):
            self._arm("lose_child", when, task, worker)

    def hit_time_limit(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Let the next task hit its hard time limit: its process is killed, and the task fails.

        Args:
            when: ``before_body`` or ``after_body``.
            task: as for :meth:`kill_worker`.
            worker: as for :meth:`kill_worker`.

        Raises:
            NotForReal: the broker is a real one, and the limit is more than 5 s away, or there is none.
        """
        self._arm("hit_time_limit", when, task, worker, kind="time_limit")

    def redeliver(self, task: Any = None) -> EnqueuedTask:
        """Deliver a message once more that was done, as a broker does which has not received its acknowledgement.

        Args:
            task: the task, or its name; the last that was run by default.

        Returns:
            The message, which waits again.

        Raises:
            NothingToRun: no such task was run.
            NotForReal: the broker is a real one.
        """
        name = _name_of(task)
        with self._asking("redeliver()"):
            again = self._driver.redeliver(name)
        if again is None:
            wanted = "no task" if name is None else f"no {name}"
            raise NothingToRun(f"redeliver(): {wanted} was run yet, so there is nothing to deliver once more")
        return again

    def refuse_publish(self, times: int = 1) -> None:
        """Let the broker refuse the next messages: publishing raises ``kombu.exceptions.OperationalError``.

        It stands for a broker that can't be reached for as long as Celery retries the publishing.

        Args:
            times: how many messages.

        Raises:
            NotForReal: the broker is a real one: stop or pause its server instead.
        """
        count = _checked_times("refuse_publish", times)
        with self._asking("refuse_publish()"):
            self._driver.refuse_publish(count)

    def slow(self, target: Any, seconds: float | timedelta) -> AbstractContextManager[object]:
        """Let something take time from now on, in virtual time: a task, or a function that is called.

        Each call takes the time first, and then does what it does. It meets what a call that waits meets in production:
        a soft time limit raises ``SoftTimeLimitExceeded`` in it, a hard one ends it, and beyond the visibility timeout
        Redis hands the message of a task that acknowledges late to a worker again.

        Args:
            target: a task or its name, whose body takes the time before its first line; a function, wherever it has
                been imported; or the dotted path of one, where it is looked up, as for ``unittest.mock.patch``.
            seconds: how long each call takes, in seconds or as a timedelta.

        Returns:
            A context manager, at the end of whose block nothing takes time any more; without one it is the end of the
            test.

        Raises:
            TypeError: ``target`` can't be called, or ``seconds`` is no number.
            ValueError: there is no such task or function, or ``seconds`` is negative or not finite.
            NotForReal: the broker is a real one: its tasks run in another process, in real time.

        Example:
            >>> task_queue.slow("billing.mail.deliver", 600)
            >>> send_invoice_email.delay(7)
            >>> with pytest.raises(TimeLimitExceeded):
            ...     task_queue.run()
        """
        distance = seconds_of(seconds, "slow")
        with self._asking("slow()"):
            return self._driver.slow(target, distance)

    def fail_write(
        self,
        nth: int = 1,
        *,
        error: type[Exception] | Exception | None = None,
        task: Any = None,
        worker: str | None = None,
    ) -> None:
        """Let the database fail in the middle of the next task: the nth statement that writes raises.

        The statement is not executed; those before it are. An ``INSERT``, ``UPDATE`` or ``DELETE`` counts, of the ORM
        or by hand, on each database. It happens once: the next run of the task is not disturbed. Where a body writes
        less often, it is the next body's that fails.

        Args:
            nth: which of the body's statements that write, counted from 1.
            error: what is raised: a class of exceptions, or one; ``django.db.OperationalError`` by default.
            task: as for :meth:`kill_worker`.
            worker: as for :meth:`kill_worker`.

        Raises:
            TypeError: ``nth`` is no whole number, or ``error`` no exception.
            ValueError: ``nth`` is below 1, or there is no such worker.
            BackchannelError: Django is not installed, or not configured.
            NotForReal: the broker is a real one: its tasks write in another process.

        Example:
            >>> task_queue.fail_write(nth=2)  # the first entry is booked, the second is not
            >>> book_transfer.delay(7)
            >>> task_queue.run(propagate=False)
            {'FAILURE': 1}
            >>> assert Entry.objects.count() == 0
        """
        self._check_worker(worker)
        count = _checked_times("fail_write", nth, "nth")
        if error is not None and not (
            isinstance(error, Exception) or (isinstance(error, type) and issubclass(error, Exception))
        ):
            raise TypeError(f"fail_write(error={error!r}): give an exception, or a class of exceptions")
        with self._asking("fail_write()"):
            self._driver.fail_write(count, error, _name_of(task), worker)

    def _arm(self, method: str, when: str, task: Any, worker: str | None, kind: str | None = None) -> None:
        self._check_worker(worker)
        with self._asking(f"{method}()"):
            self._driver.arm(Fault(kind or method, check_moment(when), _name_of(task), worker))


def not_for_real(call: str, answer: str) -> NoReturn:
    """The one place where what can't be had for real becomes an error; the fixtures turn it into a skip.

    Args:
        call: what the test asked for.
        answer: why it can't be had; the rest of a sentence that begins with the call.

    Raises:
        NotForReal: always.
    """
    __tracebackhide__ = True
    raise NotForReal(f"{call} {answer}") from None


def _name_of(task: Any) -> str | None:
    if task is None or isinstance(task, str):
        return task
    name = getattr(task, "name", None)
    if not isinstance(name, str):
        raise BackchannelError(f"{task!r} is no task: give a task, or the name of one")
    return name


def _checked_times(method: str, value: object, name: str = "times") -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{method}({name}={value!r}): give a whole number, such as 1")
    if value < 1:
        raise ValueError(f"{method}(): {name}={value!r}: give a number above 0")
    return value


def _shown(step: Step, *arguments: str) -> str:
    """The arguments of a call that narrow it."""
    selection = [] if step.selection is None else [str(step.selection)]
    worker = [] if step.worker is None else [f"worker={step.worker!r}"]
    return ", ".join([*arguments, *selection, *worker])
