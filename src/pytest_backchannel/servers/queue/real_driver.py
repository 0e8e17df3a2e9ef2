"""The driver of `task_queue` over a real broker: the same test as with the stepped worker, with a worker process.

The worker stands still (SIGSTOP) but for the time of a step: between two of them, what was published waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, Self

from ...awaiting import require_loop
from ...errors import NothingToRun
from ...events import EventLog, current_log
from ...tasks import verdicts
from ...tasks.driver import DEFAULT_LIMIT, Phase, Step, Unable, check_phase
from ...tasks.expect.messages import EnqueuedTask
from ...tasks.expect.selection import Selection
from ...tasks.expect.sending import Sending
from ...tasks.outcomes import Counts
from ...tasks.stepped.pool.faults import Fault
from ..integration import Integration
from ..publishing import published
from ..workers.setup_hook import Setup
from .broker_side import BrokerSide
from .held_worker import HeldWorker
from .one_run import OneRun
from .reports import ENDED, Account

REAL_LIMIT = 5.0
"""How long a test may wait in real time for what is due later, in seconds."""
ETA_MARGIN = 0.01
"""How far beyond an eta it waits for it, in seconds: the worker's timer has its own idea of the moment."""


class RealDriver:
    """A :class:`~pytest_backchannel.tasks.driver.Driver` with a real broker, a worker process and real time.

    Args:
        integration: the app on its real broker, entered.
        queues: what the worker consumes; every queue that is used where None.
        conf: Celery's settings for the worker.
        log: where events go; the log of the running test by default.
        folder: for the reports of the worker.
        real_limit: how long it may wait in real time for what is due later, in seconds.
        setup: project code that the worker runs before it begins.
        before_run: called whenever the worker is let go on.

    Example:
        >>> with TaskQueue.over(RealDriver(integration, folder=tmp_path)) as task_queue:
        ...     send_invoice_email.delay(7)
        ...     task_queue.run()
        {'SUCCESS': 1}
    """

    blocks = "and would stop its event loop while the worker works"

    def __init__(
        self,
        integration: Integration,
        *,
        folder: Path,
        queues: Sequence[str] | None = None,
        conf: Mapping[str, Any] | None = None,
        log: EventLog | None = None,
        real_limit: float = REAL_LIMIT,
        setup: Setup | None = None,
        before_run: Callable[[], None] = lambda: None,
    ) -> None:
        self.app: Any = integration.app
        self.log = current_log() if log is None else log
        self.workers = ["worker"]
        self.seen: set[str] = set()
        self.sending: Sending | None = None
        self._conf = dict(conf or {})
        self._limit = real_limit
        self._account = Account(self.app, self.log, folder / "reports.jsonl")
        self.outcomes = self._account.outcomes
        self.captures = self._account.captures
        self._before_run = before_run
        self._worker = HeldWorker(
            integration, self._account, queues=queues, conf=self._conf, faults=folder / "faults", setup=setup
        )
        options = self._conf.get("broker_transport_options")
        self._broker = BrokerSide(self.app, integration.broker_url, options)
        self._phase: Phase = "new"
        self._stack = ExitStack()

    # ------------------------------------------------------------------ begin and end

    def __enter__(self) -> Self:
        self._account.begin()
        self._worker.begin()
        self._stack.enter_context(published(self._account.sent))
        self._stack.enter_context(self._results_run_the_worker())
        self.log.at_end(self._check)
        self._phase = "active"
        return self

    def __exit__(self, *error: object) -> None:
        self._phase = "ended"
        self._stack.close()

    def _check(self) -> None:
        if self._phase == "active":
            verdicts.failed_tasks(self.outcomes, self.seen, self.log)

    @contextmanager
    def _results_run_the_worker(self) -> Generator[None]:
        """``result.get()`` lets the worker run, as it steps the stepped one."""
        backend = self.app.backend
        original = backend.wait_for_pending

        def wait_for_pending(result: Any, *args: Any, **kwargs: Any) -> Any:
            self.seen.add(result.id)
            self._run(DEFAULT_LIMIT)
            kwargs["timeout"] = min(kwargs.get("timeout") or self._limit, self._limit)
            return original(result, *args, **kwargs)

        backend.wait_for_pending = wait_for_pending
        try:
            yield
        finally:
            del backend.wait_for_pending

    # ----------------------------------------------------- what waits, what has run

    def catch_up(self) -> None:
        """Read the worker's reports."""
        self._account.take_reports()

    def waiting(self) -> list[EnqueuedTask]:
        """The tasks at the broker, and those that the worker has received and not begun."""
        return self._tasks("waiting", "received")

    def count_waiting(self) -> int:
        """How many they are."""
        return len(self.waiting())

    def have_run(self) -> list[EnqueuedTask]:
        """The tasks that have been run."""
        return self._tasks("done")

    def reserved(self, worker: str) -> list[EnqueuedTask]:
        """The tasks that the worker has received and not begun."""
        return self._tasks("received")

    def _tasks(self, *states: str) -> list[EnqueuedTask]:
        self.catch_up()
        return [message.task for message in self._account.in_state(*states)]

    # ----------------------------------------------------------------------- running

    def start(self) -> None:
        """Start the worker, or let it go on."""
        self._worker.start()

    def run_one(self, step: Step) -> None:
        """Run the one task that is due.

        Raises:
            NothingToRun: none is.
            Unable: several are: a worker process can't be stepped.
        """
        __tracebackhide__ = True
        self._only_whole_queues(step.selection)
        due = [message for message in self._account.in_state("waiting") if message.due]
        if step.selection is not None:
            due = [message for message in due if step.selection.fits(message.task)]
        if not due:
            fitting = "" if step.selection is None else f" that fits {step.selection}"
            raise NothingToRun(f"run_one(): nothing is due{fitting}; {self.count_waiting()} tasks wait")
        if len(due) > 1:
            self._only_simulated(f"{len(due)} tasks are due, and a worker process can't be stepped")
        self.run(step)

    def run(self, step: Step) -> None:
        """Let the worker run until the broker has nothing left that is due; what fails does not end it.

        Raises:
            EndlessLoop: the limit is reached.
            ServerFailed: the worker died, and no fault of the test has killed it; the message has the end of its log.
        """
        __tracebackhide__ = True
        if step.worker is not None:
            self._only_simulated("one worker process serves all queues")
        with self._narrowed(step.selection):
            if self._anything_for(step.selection):
                self._run(step.limit)

    @contextmanager
    def _narrowed(self, selection: Selection | None) -> Generator[None]:
        """Within the block the worker takes from the queues of a step alone."""
        __tracebackhide__ = True
        self._only_whole_queues(selection)
        with self._worker.taking_from(None if selection is None else selection.queues):
            yield

    def _anything_for(self, selection: Selection | None) -> bool:
        """Whether a message is to end that the step may run: a worker needs a queue to be started with."""
        if selection is None or selection.queues is None:
            return self._account.anything_open()
        self.catch_up()
        return any(m.task.queue in selection.queues and m.state not in ENDED for m in self._account.messages)

    def _only_whole_queues(self, selection: Selection | None) -> None:
        if selection is None:
            return
        if selection.names is not None:
            self._only_simulated("a worker process takes every task of its queues")
        others = sorted(self._worker.consumed - (selection.queues or set()))
        if others:
            self._only_simulated(f"its worker takes from {', '.join(map(repr, others))} already")

    def run_for(self, seconds: float, step: Step) -> None:
        """Let the worker run for a real time, as its timers do; it counts from when the worker is there."""
        __tracebackhide__ = True
        self._only_short(seconds)
        with self._narrowed(step.selection):
            if self._anything_for(step.selection):
                self._worker.start()
                self._run(step.limit, until=time.monotonic() + seconds)
                self._show_invisible()
                self._run(step.limit)

    def _show_invisible(self) -> None:
        """What the broker hands out again, after the visibility timeout, waits."""
        invisible = self._account.in_state("invisible")
        if invisible:
            self._broker.restore_visible()
        for message in invisible:
            if not self._broker.keeps(message.task.id):
                message.state = "waiting"

    async def in_thread(self, function: Callable[..., Counts], *args: Any, **kwargs: Any) -> Counts:
        """Call a function in any thread: the loop of the test goes on while the worker works."""
        require_loop(f"task_queue.a{function.__name__}()")
        return await asyncio.to_thread(function, *args, **kwargs)

    def _run(self, limit: int, until: float = 0.0) -> None:
        __tracebackhide__ = True
        self._before_run()
        OneRun(self._account, self._worker, self._broker, limit=limit, until=until).go()

    # -------------------------------------------------------------------------- time

    def time(self, *, moves: bool) -> AbstractContextManager[object]:
        """Real time."""
        check_phase(self._phase)
        return contextlib.nullcontext()

    def next_moment(self) -> float | None:
        """The nearest eta in the queues that the worker consumes."""
        tasks = [task for task in self._tasks("waiting", "received") if self._worker.consumes(task.queue)]
        return min((task.eta.timestamp() for task in tasks if task.eta), default=None)

    def move_to(self, moment: float) -> None:
        """Wait until then."""
        distance = moment - time.time()
        self._only_short(distance)
        time.sleep(max(0.0, distance + ETA_MARGIN))

    def beat(self, until: datetime | timedelta | float) -> None:
        """It can't: its schedule is no matter of seconds."""
        self._only_simulated("its schedule is of minutes, hours and days")

    # ------------------------------------------------------------------------- faults

    def arm(self, fault: Fault) -> None:
        """Let the worker process, or its child, meet the fault at the next task that it fits."""
        if fault.kind == "time_limit":
            task = self.app.tasks.get(fault.task)
            limit = getattr(task, "time_limit", None) or self._conf.get("task_time_limit")
            limit = limit or self.app.conf.task_time_limit
            if not limit:
                self._only_simulated("the project sets no hard time limit")
            self._only_short(limit)
        self._worker.arm(fault)

    def redeliver(self, name: str | None) -> EnqueuedTask | None:
        """It can't."""
        self._only_simulated("a real broker has forgotten what was acknowledged")

    def refuse_publish(self, times: int) -> None:
        """It can't; the server can be stopped."""
        self._only_simulated("use redis_server.stop() or rabbitmq_server.pause()")

    def slow(self, target: Any, seconds: float) -> ExitStack:
        """It can't."""
        self._only_simulated(
            "its tasks run in another process, and in real time; let the marker's setup= make it slow there"
        )

    def fail_write(
        self, nth: int, error: type[Exception] | Exception | None, task: str | None, worker: str | None
    ) -> None:
        """It can't."""
        self._only_simulated("its tasks write in another process; let the marker's setup= make them fail there")

    # ----------------------------------------------------------------- what it can't do

    def _only_simulated(self, why: str) -> NoReturn:
        raise Unable(f"can't be had with a real broker: {why}")

    def _only_short(self, seconds: float) -> None:
        if seconds > self._limit:
            raise Unable(
                f"would take {seconds:.0f} s of real time with a real broker, and {self._limit:g} s is the limit"
            )
