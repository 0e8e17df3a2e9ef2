"""`task_queue` over a real broker: the same test as with the stepped worker, with a real worker process.

The worker stands still (SIGSTOP) but for the time of a `run()`: between two of them, what was published waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, Self

from ...clock.virtual import seconds_of
from ...errors import EndlessLoop, NotForReal, NothingToRun, ServerFailed
from ...events import EventLog, current_log
from ...tasks import verdicts
from ...tasks.expect.messages import EnqueuedTask
from ...tasks.expect.waiting import WaitingTasks
from ...tasks.outcomes import Counts, Outcome, TaskFailure, TaskRetry, TaskSuccess
from ...tasks.records import MessageLost, TaskEvent
from ...tasks.stepped.faults import BEFORE, check_moment
from ...tasks.twins import DEFAULT_LIMIT, MAX_IDLE, AsyncTwins
from ..integration import Integration
from ..publishing import published
from ..workers.worker_process import Worker
from .reports import Account, Message

REAL_LIMIT = 5.0
"""How long a test may wait in real time for what is due later, in seconds."""
PATIENCE = 30.0
"""How long a run may take without anything happening, in seconds."""


class RealTaskQueue(Account, WaitingTasks, AsyncTwins):
    """The tasks that wait at a real broker, and the worker process that runs them when it is asked to.

    The surface is that of the stepped ``TaskQueue``. What differs: ``run()`` lets the worker go on until the broker has
    nothing left that is due, so that what waits behind a failed task has run as well when ``run()`` raises; time is
    real, and what would take more than 5 s of it raises :class:`NotForReal`, as does what only a simulation can do.

    Args:
        integration: the app on its real broker, entered.
        queues: what the worker consumes; every queue that is used where None.
        conf: Celery's settings for the worker.
        log: where events go; the log of the running test by default.
        folder: for the reports of the worker.
        real_limit: how long it may wait in real time for what is due later, in seconds.

    Example:
        >>> with RealTaskQueue(integration, folder=tmp_path) as task_queue:
        ...     send_invoice_email.delay(7)
        ...     task_queue.run()
        {'SUCCESS': 1}
    """

    _harm = "and would stop its event loop while the worker works"

    def __init__(
        self,
        integration: Integration,
        *,
        folder: Path,
        queues: Sequence[str] | None = None,
        conf: Mapping[str, Any] | None = None,
        log: EventLog | None = None,
        real_limit: float = REAL_LIMIT,
    ) -> None:
        super().__init__(integration.app, current_log() if log is None else log, folder / "reports.jsonl")
        self._integration = integration
        self._conf = dict(conf or {})
        self._queues = None if queues is None else list(queues)
        self._consumed: set[str] = set()
        self._limit = real_limit
        self._faults = folder / "faults"
        self._armed = 0
        self._looked_at: set[str] = set()
        self._worker: Worker | None = None
        self._kills = 0
        self._stack = ExitStack()
        self._active = False

    # ------------------------------------------------------------------ begin and end

    def __enter__(self) -> Self:
        self._faults.mkdir(parents=True, exist_ok=True)
        self._reports.touch()
        self._stack.enter_context(published(self._sent))
        self._stack.enter_context(self._results_run_the_worker())
        self.log.at_end(self._check)
        self._active = True
        return self

    def __exit__(self, *_: object) -> None:
        self._active = False
        self._stack.close()

    def _check(self) -> None:
        if self._active:
            verdicts.failed_tasks(self._outcomes, self._looked_at, self.log)

    @contextmanager
    def _results_run_the_worker(self) -> Generator[None]:
        """``result.get()`` lets the worker run, as it steps the stepped one."""
        backend = self.app.backend
        original = backend.wait_for_pending

        def wait_for_pending(result: Any, *args: Any, **kwargs: Any) -> Any:
            self._looked_at.add(result.id)
            self._go(DEFAULT_LIMIT)
            kwargs["timeout"] = min(kwargs.get("timeout") or self._limit, self._limit)
            return original(result, *args, **kwargs)

        backend.wait_for_pending = wait_for_pending
        try:
            yield
        finally:
            del backend.wait_for_pending

    # -------------------------------------------------------------------- what waits

    def _waiting(self) -> list[EnqueuedTask]:
        self._take_reports()
        return [message.task for message in self._messages if message.state in ("waiting", "received")]

    def _have_run(self) -> list[EnqueuedTask]:
        return [message.task for message in self._messages if message.state == "done"]

    @contextmanager
    def capture(self) -> Generator[list[EnqueuedTask]]:
        """Collect what the block enqueues, whether or not it is run there."""
        sent: list[EnqueuedTask] = []
        self._captures.append(sent)
        try:
            yield sent
        finally:
            self._take_reports()
            self._captures = [other for other in self._captures if other is not sent]

    # ------------------------------------------------------------------------ running

    def run(self, *, propagate: bool = True, worker: str | None = None, limit: int = DEFAULT_LIMIT) -> Counts:
        """Let the worker run until the broker has nothing left that is due.

        Args:
            propagate: raise what the first failed task raised; otherwise only record it in :attr:`failures`.
            worker: not for real: there is one worker.
            limit: how many tasks may run.

        Returns:
            How many tasks ended in each of Celery's states.

        Raises:
            EndlessLoop: the limit is reached.
            ServerFailed: the worker died, and no fault of the test has killed it; the message has the end of its log.
            Exception: what a task raised.
        """
        __tracebackhide__ = True
        if worker is not None:
            self._only_simulated(f"run(worker={worker!r})", "one worker process serves all queues")
        self._check_thread("run")
        before = len(self._outcomes)
        self._go(limit)
        return self._report(before, propagate)

    def run_one(self, *, propagate: bool = True, worker: str | None = None) -> Counts:
        """Not for real: a worker process can't be stepped; it runs where exactly one task is due and leads to no other.

        Raises:
            NothingToRun: nothing is due.
            NotForReal: several tasks are due.
        """
        __tracebackhide__ = True
        due = [message for message in self._messages if message.state == "waiting" and message.due(time.time())]
        if not due:
            raise NothingToRun(f"run_one(): nothing is due; {len(self)} tasks wait for later")
        if len(due) > 1:
            self._only_simulated("run_one()", f"{len(due)} tasks are due, and a worker process can't be stepped")
        return self.run(propagate=propagate, worker=worker)

    def advance(self, seconds: float | timedelta, *, propagate: bool = True, limit: int = DEFAULT_LIMIT) -> Counts:
        """Let the worker run for a real time.

        Args:
            seconds: how long, in seconds or as a timedelta.
            propagate: as for :meth:`run`.
            limit: as for :meth:`run`.

        Raises:
            TypeError: ``seconds`` is neither.
            ValueError: ``seconds`` is negative or not finite.
            NotForReal: it is more than 5 s.
        """
        __tracebackhide__ = True
        distance = seconds_of(seconds, "advance")
        if distance > self._limit:
            self._takes_too_long(f"advance({distance:g})", distance)
        self._check_thread("advance")
        before = len(self._outcomes)
        if self._anything_waits():
            # The time counts from when the worker is there; it runs all the while, as its timers do.
            self._start_worker()
            self._go(limit, until=time.monotonic() + distance)
            self._restore_invisible()
            self._go(limit)
        return self._report(before, propagate)

    def run_until_idle(
        self, *, propagate: bool = True, limit: int = DEFAULT_LIMIT, max_seconds: float = MAX_IDLE
    ) -> Counts:
        """Run until nothing waits, in real time.

        Raises:
            NotForReal: something is due later than in 5 s.
        """
        __tracebackhide__ = True
        self._check_thread("run_until_idle")
        before = len(self._outcomes)
        allowed = min(max_seconds, self._limit)
        self._go(limit)
        while (upcoming := self._next_eta()) is not None:
            distance = upcoming - time.time()
            if distance > allowed:
                self._takes_too_long("run_until_idle()", distance)
            time.sleep(max(0.0, distance + 0.01))
            self._go(limit)
        return self._report(before, propagate)

    async def _in_thread(self, function: Callable[..., Counts], *args: Any, **kwargs: Any) -> Counts:
        # The loop of the test goes on while the worker works.
        return await asyncio.to_thread(function, *args, **kwargs)

    def _next_eta(self) -> float | None:
        moments = [m.task.eta.timestamp() for m in self._messages if m.state in ("waiting", "received") and m.task.eta]
        return min(moments, default=None)

    # ----------------------------------------------------------- until nothing is due

    def _go(self, limit: int, until: float = 0.0) -> None:
        """Let the worker run until nothing is due, and in any case until a moment of the monotonic clock."""
        if not self._anything_waits():
            return
        began = len(self._outcomes)
        self._start_worker()
        quiet_since = time.monotonic()
        checks_without_change = 0
        try:
            while True:
                changed = self._take_reports()
                self._consume_new_queues()
                self._mind_the_worker()
                if len(self._outcomes) - began >= limit or any(m.deliveries > limit for m in self._messages):
                    names = [outcome.name for outcome in self._outcomes[-4:]]
                    raise EndlessLoop(f"{limit} tasks have run and more are due; the last were {', '.join(names)}")
                now = time.monotonic()
                if changed:
                    quiet_since, checks_without_change = now, 0
                elif not self._unfinished():
                    # Done, as the tasks say; what the worker does afterwards (acknowledge, put back) is still to come.
                    if now >= until and self._nothing_left():
                        return
                elif now - quiet_since > (0.3 if self._kills else 1.5) * (checks_without_change + 1):
                    # What a live worker has received it holds: for a rate limit, or a task that takes long. What only
                    # waits, and is not at the broker, a killed worker had.
                    if all(m.state == "waiting" for m in self._unfinished()) and self._nothing_left():
                        checks_without_change += 1
                        if checks_without_change >= 2:
                            self._give_up()
                    else:
                        checks_without_change = 0
                        if now - quiet_since > PATIENCE and not self._busy():
                            raise ServerFailed(self._stuck())
                time.sleep(0.005)
        finally:
            if self._worker is not None and self._worker.running:
                self._worker.pause()

    def _anything_waits(self) -> bool:
        self._take_reports()
        return any(m.state in ("waiting", "received", "started", "invisible") for m in self._messages)

    def _unfinished(self) -> list[Message]:
        now = time.time()
        return [
            m
            for m in self._messages
            if m.state in ("waiting", "received", "started") and (m.due(now) or m.state == "waiting")
            if m.task.queue in self._consumed or self._queues is None
        ]

    def _start_worker(self) -> None:
        self._consume_used_queues()
        if self._worker is None:
            self._worker = self._integration.worker(
                queues=sorted(self._consumed),
                conf=self._conf,
                reports=(str(self._reports), str(self._faults)),
            )
        elif not self._worker.running:
            self._worker.start()
        else:
            self._worker.resume()

    def _consume_used_queues(self) -> None:
        if self._queues is not None:
            self._consumed = set(self._queues)
        else:
            declared = self.app.conf.task_queues
            used = {message.task.queue for message in self._messages if message.task.queue}
            self._consumed |= set(self.app.amqp.queues) if declared else {*used, self.app.conf.task_default_queue}

    def _consume_new_queues(self) -> None:
        before = set(self._consumed)
        self._consume_used_queues()
        for queue in sorted(self._consumed - before):
            if self._worker is not None:
                self.app.control.add_consumer(queue, destination=[self._worker.node], reply=True, timeout=2)

    def _mind_the_worker(self) -> None:
        worker = self._worker
        if worker is None or worker.running:
            return
        self._take_reports()
        if not self._killed_by_fault:
            raise ServerFailed(f"the worker has died by itself (exit code {worker.exit_code})\n{worker.recent_log(15)}")
        self._killed_by_fault = False
        self._kills += 1
        for message in self._messages:
            if message.state in ("received", "started"):
                message.state = "waiting"
        worker.start()  # a new worker takes its place

    def _ready_at_the_broker(self) -> int:
        count = 0
        with self.app.connection_for_read() as connection:
            for queue in self._consumed:
                # A failed declaration closes the channel.
                with contextlib.suppress(Exception), connection.channel() as channel:
                    count += channel.queue_declare(queue, passive=True).message_count
        return count

    def _busy(self) -> bool:
        """Whether the worker has something that it runs, or will run now."""
        if self._worker is None or not self._worker.running:
            return False
        inspect = self.app.control.inspect(destination=[self._worker.node], timeout=1.0, limit=1)
        active, reserved = inspect.active(), inspect.reserved()
        if active is None or reserved is None:
            return True  # too busy to answer
        future = {m.task.id for m in self._messages if not m.due(time.time())}
        return any(active.values()) or any(t["id"] not in future for tasks in reserved.values() for t in tasks)

    def _nothing_left(self) -> bool:
        return not self._ready_at_the_broker() and not self._busy()

    def _give_up(self) -> None:
        """What is not at the broker and not at the worker any more: lost, or not visible for a time."""
        for message in self._unfinished():
            if self._invisible(message):
                message.state = "invisible"
                continue
            message.state = "lost"
            reason = (
                "its worker was killed, and had acknowledged it when it began to run it"
                if self._kills
                else "the worker has thrown it away: see its log"
            )
            self._record(MessageLost, message, reason=reason)

    def _invisible(self, message: Message) -> bool:
        """Whether Redis keeps it for a worker that is gone, until the visibility timeout."""
        if self._integration.broker_url.startswith(("amqp", "pyamqp")):
            return False
        with self.app.connection_for_read() as connection:
            channel = connection.default_channel
            kept = channel.client.hvals(channel.unacked_key)
        return any(message.task.id.encode() in entry for entry in kept)

    def _restore_invisible(self) -> None:
        # What every worker does now and then (kombu/transport/redis.py, 5.5–5.7: about every 100 s): messages whose
        # visibility timeout has passed go back to their queue.
        if not any(message.state == "invisible" for message in self._messages):
            return
        options = self._conf.get("broker_transport_options") or self.app.conf.broker_transport_options
        with self.app.connection_for_read(transport_options=dict(options or {})) as connection:
            connection.default_channel.qos.restore_visible(interval=1)
            still = [m for m in self._messages if m.state == "invisible" and not self._invisible(m)]
        for message in still:
            message.state = "waiting"

    def _stuck(self) -> str:
        left = ", ".join(message.task.name for message in self._unfinished())
        log = self._worker.recent_log(15) if self._worker is not None else ""
        return f"nothing has happened for {PATIENCE:g} s, and these have not ended: {left}\n{log}"

    def _report(self, before: int, propagate: bool) -> Counts:
        __tracebackhide__ = True
        fresh = self._outcomes[before:]
        if propagate:
            self._looked_at.update(outcome.id for outcome in fresh)
            for outcome in fresh:
                if isinstance(outcome, TaskFailure):
                    outcome.exception.add_note(f"in task {outcome.call}\n  id {outcome.id}")
                    raise outcome.exception
        counts = Counter(outcome.state for outcome in fresh)
        return Counts(counts, lambda: self._looked_at.update(outcome.id for outcome in fresh))

    # ----------------------------------------------------------------------- outcomes

    @property
    def failures(self) -> list[TaskFailure]:
        """The tasks that failed so far, in order: ``name``, ``args``, ``exception``."""
        self._take_reports()
        found = [outcome for outcome in self._outcomes if isinstance(outcome, TaskFailure)]
        self._looked_at.update(outcome.id for outcome in found)
        return found

    @property
    def succeeded(self) -> list[TaskSuccess]:
        """The tasks that returned so far, in order: ``name``, ``args``, ``result``."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, TaskSuccess)]

    @property
    def retries(self) -> list[TaskRetry]:
        """The retries so far, in order: ``name``, ``countdown`` in seconds, ``exc``."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, TaskRetry)]

    @property
    def outcomes(self) -> list[Outcome]:
        """What came of each delivery so far, in order, of whatever state."""
        self._take_reports()
        return list(self._outcomes)

    @property
    def events(self) -> list[TaskEvent]:
        """All events of tasks so far, in order."""
        self._take_reports()
        return self.log.of(TaskEvent)

    # ------------------------------------------------------------------------- faults

    def kill_worker(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Kill the worker and its children (SIGKILL) at the next task; a new worker takes its place."""
        self._arm("kill_worker", when, task)

    def lose_child(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Kill the process that runs the next task (SIGKILL); the worker lives on and notices."""
        self._arm("lose_child", when, task)

    def hit_time_limit(self, when: str = BEFORE, *, task: Any = None, worker: str | None = None) -> None:
        """Let the next task run until its hard time limit.

        Raises:
            NotForReal: that takes more than 5 s, or the project has no limit.
        """
        limit = self._conf.get("task_time_limit") or self.app.conf.task_time_limit
        if task is not None and not isinstance(task, str):
            limit = task.time_limit or limit
        if not limit:
            self._only_simulated("hit_time_limit()", "the project sets no hard time limit")
        if limit > self._limit:
            self._takes_too_long("hit_time_limit()", limit)
        self._arm("hit_time_limit", when, task)

    def redeliver(self, task: Any = None) -> EnqueuedTask:
        """Not for real: a broker has forgotten what was acknowledged.

        Raises:
            NotForReal: always.
        """
        self._only_simulated("redeliver()", "a real broker has forgotten what was acknowledged")

    def refuse_publish(self, times: int = 1) -> None:
        """Not for real: stop or pause the server instead.

        Raises:
            NotForReal: always.
        """
        self._only_simulated("refuse_publish()", "use redis_server.stop() or rabbitmq_server.pause()")

    def beat(self, until: Any) -> list[EnqueuedTask]:
        """Not for real: the schedule is of hours and days.

        Raises:
            NotForReal: always.
        """
        self._only_simulated("beat()", "its schedule is of minutes, hours and days")

    def reserved(self, worker: str = "worker") -> list[EnqueuedTask]:
        """The tasks that the worker has received and not begun."""
        self._take_reports()
        return [message.task for message in self._messages if message.state == "received"]

    def _arm(self, kind: str, when: str, task: Any) -> None:
        name = task if task is None or isinstance(task, str) else task.name
        fault = {"kind": kind, "when": check_moment(when), "task": name}
        self._armed += 1
        # Renamed into place: a task must not read half of it.
        part = self._faults / f"{self._armed:04}.part"
        part.write_text(json.dumps(fault))
        part.rename(part.with_suffix(".json"))

    def _only_simulated(self, call: str, why: str) -> NoReturn:
        raise NotForReal(f"task_queue.{call} can't be had with a real broker: {why}")

    def _takes_too_long(self, call: str, seconds: float) -> NoReturn:
        raise NotForReal(
            f"task_queue.{call} would take {seconds:.0f} s of real time with a real broker, and {self._limit:g} s is "
            "the limit"
        )
