"""Steps the workers: which message goes to whom, what runs next, and what time does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from celery.exceptions import WorkerShutdown, WorkerTerminate
from celery.result import _set_task_join_will_block

from ...clock.virtual import active_clock
from ...errors import EndlessLoop, MisusedQueue
from ...events import caused_by
from ..driver import DEFAULT_LIMIT
from ..expect.selection import Selection
from ..extensions import worker_boot
from ..outcomes import TaskFailure, cycle_of
from ..records import WorkerExited, WorkerKilled
from .broker import StoredMessage
from .installation import Installation
from .pool.execution import Execution
from .pool.faults import WorkerDied, WorkerEnded
from .pool.task_signals import TaskSignals
from .recorder import MessageHistory
from .worker import SteppedWorker, Surroundings


class Engine:
    """The workers of one task queue, and what they do next.

    Args:
        installation: the app, redirected.
        execution: runs the functions; it knows the broker and the book.
        signals: what Celery tells besides.
        workers: the queues of each worker, by its name; None for a worker that serves every queue that is used.
        order: ``fifo``, or ``random``.
        seed: of the random order.
        redeliver_all: whether each message that is no retry is delivered once more when it is done.
    """

    def __init__(
        self,
        *,
        installation: Installation,
        execution: Execution,
        signals: TaskSignals,
        workers: Mapping[str, tuple[str, ...] | None],
        order: str = "fifo",
        seed: int = 0,
        redeliver_all: bool = False,
    ) -> None:
        self.installation = installation
        self.broker = execution.broker
        self.recorder = execution.recorder
        self.execution = execution
        self.book = execution.book
        around = Surroundings(
            installation=installation,
            broker=self.broker,
            execute=execution.execute,
            undecodable=signals.undecodable,
            around_body=execution.around_body,
            is_registered=signals.is_registered,
        )
        self._kit = installation.kit
        kept = self._kit.workers if self._kit is not None else {}
        self.workers = {
            name: kept.pop(name, None) or SteppedWorker(name, queues, installation.app)
            for name, queues in workers.items()
        }
        for worker in self.workers.values():
            worker.attach(around)
        self.done: list[StoredMessage] = []
        self.stepping = False
        self.limit = DEFAULT_LIMIT
        self._random = random.Random(seed) if order == "random" else None
        self._redeliver_all = redeliver_all
        self._turn = 0
        self._waiting: tuple[tuple[Any, ...], list[StoredMessage]] = (), []
        self._told = False
        execution.accepted = self._fill
        execution.ran = self.done.append
        execution.next_moment = self.broker.next_sweep
        execution.pass_time = self._pass_time
        self._selection: Selection | None = None

    # --------------------------------------------------------------------- lifecycle

    def start(self) -> None:
        """Start the workers that do not run yet."""
        if not self._told:
            self._told = True
            worker_boot.tell(self.installation.steps, self.recorder.log)
        for worker in self.workers.values():
            if not worker.started:
                worker.start()

    def stop(self) -> None:
        """End the workers, without a word to the broker; those of a kit rest."""
        for name, worker in self.workers.items():
            if self._kit is None or self._kit.spoiled:
                worker.discard()
            else:
                worker.park()
                worker.detach()
                self._kit.workers[name] = worker

    def _spoil(self) -> None:
        """Something has happened after which nothing is used again."""
        if self._kit is not None:
            self._kit.spoiled = True

    def kill(self, worker: SteppedWorker, when: str, message: StoredMessage) -> None:
        """Kill one worker: what it has not acknowledged is the broker's again; a new one takes its place.

        Args:
            worker: the worker.
            when: ``before_body`` or ``after_body``.
            message: what it was running.
        """
        self._spoil()
        event = self.recorder.log.record(WorkerKilled, cause=message.history.cause, worker=worker.name, when=when)
        self._drop(worker)
        if message.history.finished:
            self.recorder.lost(message, "it was acknowledged when its worker was killed", cause=event.id)
        self.broker.connection_lost(worker)
        worker.start()

    def replace(self, worker: SteppedWorker, error: BaseException, message: StoredMessage) -> None:
        """A worker process ends of itself, and gives back what it has; its supervisor starts a new one.

        Args:
            worker: the worker.
            error: what it could not go on from.
            message: what it was running.
        """
        self._spoil()
        self.recorder.log.record(
            WorkerExited, cause=message.history.cause, worker=worker.name, reason=f"{type(error).__name__}: {error}"
        )
        self._drop(worker)
        self.broker.given_back(worker)
        worker.start()

    def _drop(self, worker: SteppedWorker) -> None:
        worker.drop()
        self.recorder.forget_holder(worker)
        # Which ids are revoked is known to the process alone: a state db is only written as one ends in peace. A
        # worker that starts beside others asks them (celery.worker.consumer.mingle).
        if len(self.workers) == 1:
            self.installation.forget_revoked()

    # ---------------------------------------------------------------------- stepping

    @contextmanager
    def guard(self) -> Generator[None]:
        """Within the block the workers work; nobody else may make them.

        Raises:
            MisusedQueue: they work already: a task has asked for it.
        """
        if self.stepping:
            raise MisusedQueue(
                "the task queue was stepped from inside a task. In production a task can't make the worker work "
                "either: enqueue, and let the test step."
            )
        self.stepping = True
        # As in a prefork worker: `.get()` inside a task is refused, by Celery itself.
        _set_task_join_will_block(True)
        try:
            with self.installation.as_current(), worker_boot.working(self.workers.values()):
                yield
        except BaseException:
            self._spoil()
            raise
        finally:
            _set_task_join_will_block(False)
            self.stepping = False

    def step(self, only: str | None = None, selection: Selection | None = None) -> bool:
        """Deliver what can be delivered, and run one request; False when nothing is due.

        Args:
            only: the name of the one worker that runs something; deliveries go to all of them.
            selection: which tasks may run; any other stays where it is, and is not delivered either.
        """
        __tracebackhide__ = True
        with self.guard(), self._selecting(selection):
            self.start()
            return self._next(only)

    def steps(
        self, only: str | None = None, selection: Selection | None = None, after: Callable[[], None] = lambda: None
    ) -> bool:
        """Do one :meth:`step` after the other, until nothing is due or a task has failed; whether one has.

        Args:
            only: as for :meth:`step`.
            selection: as for :meth:`step`.
            after: called after each step in which nothing has failed; what it raises ends them.
        """
        __tracebackhide__ = True
        outcomes = self.book.outcomes
        known = len(outcomes)
        with self.guard(), self._selecting(selection):
            self.start()
            while self._next(only):
                if any(isinstance(outcomes[number], TaskFailure) for number in range(known, len(outcomes))):
                    return True
                known = len(outcomes)
                after()
        return False

    def _next(self, only: str | None) -> bool:
        __tracebackhide__ = True
        before = len(self.book.outcomes)
        self.settle()
        chosen = self._choose(only)
        # What is due at this very moment comes first: in real time it is a little older than what is overdue.
        while chosen is None and self.broker.sweep():
            self.settle()
            chosen = self._choose(only)
        if chosen is None and self._deliver_beyond(only):
            self.settle()
            chosen = self._choose(only)
        if chosen is None:
            return len(self.book.outcomes) > before
        self._run(*chosen)
        return True

    @contextmanager
    def _selecting(self, selection: Selection | None) -> Generator[None]:
        self._selection = selection
        try:
            yield
        finally:
            self._selection = None

    def selected(self, message: StoredMessage) -> bool:
        """Whether the step that goes on may run a message."""
        selection = self._selection
        if selection is None:
            return True
        if not selection.may_fit(message.history.name, message.queue):
            return False
        return selection.fits(self.recorder.task(message))

    def settle(self) -> None:
        """Do all that needs no task to run: expiry, remote control, timers, deliveries."""
        __tracebackhide__ = True
        while True:
            self.broker.tick()
            self.control()
            for worker in self.workers.values():
                worker.ripen()
            self._serve_new_queues()
            self._deliver_the_mortal()
            self._fill()
            # What was delivered may be held for an eta that has passed already.
            if not any(worker.timer.is_due() for worker in self.workers.values()):
                return

    def _pass_time(self) -> None:
        """Time passes while a body sleeps: the broker and the worker's own process go on."""
        self.broker.tick()
        self.broker.sweep()
        for worker in self.workers.values():
            worker.ripen()
        self._fill()

    def control(self) -> bool:
        """Let the workers handle remote control; whether there was any."""
        __tracebackhide__ = True
        busy = False
        for worker in self.workers.values():
            if worker.started:
                for message in worker.control_messages():
                    busy = True
                    self._spoil()
                    self.installation.keep_limits()
                    try:
                        worker.deliver(message)
                    except (WorkerShutdown, WorkerTerminate):
                        raise MisusedQueue(
                            f"app.control.shutdown() has reached the worker {worker.name!r}, and the end of a worker "
                            "is not simulated. Fix: mock that call in this test; for a worker that dies, "
                            "task_queue.kill_worker()."
                        ) from None
        return busy

    def wake(self) -> None:
        """Start the workers, unless it is one of them that publishes."""
        if not self.stepping:
            with self.guard():
                self.start()

    def pump(self) -> bool:
        """Somebody waits for a reply of remote control: let the workers answer."""
        if self.stepping:
            return False
        with self.guard():
            self.start()
            return self.control()

    def _serve_new_queues(self) -> None:
        servers = [worker for worker in self.workers.values() if worker.queues is None]
        if not servers:
            return
        for name in self.broker.published_to:
            if not any(worker.consumes(name) for worker in self.workers.values()):
                servers[0].serve(name)

    def _deliver_the_mortal(self) -> None:
        """Deliver what RabbitMQ drops unless a worker can have it at once: one that is idle can."""
        __tracebackhide__ = True
        for message in self.broker.mortal():
            if self.broker.head(message.queue) is message and (takers := self._takers(message.queue)):
                self._deliver(message, takers)
            else:
                self.broker.expire(message)

    def _fill(self) -> None:
        """Let the workers have what their prefetch counts allow."""
        __tracebackhide__ = True
        if self._random is None:
            self._prefetch()

    def _prefetch(self) -> None:
        """Deliver as a broker does, to each worker as much as its prefetch count allows."""
        __tracebackhide__ = True
        while True:
            offers = [
                (message, takers)
                for name, queue in list(self.broker.queues.items())
                if queue.ready and (message := self._next_of(name)) is not None and message.is_task
                for takers in [self._takers(name)]
                if takers
            ]
            if not offers:
                return
            # Between queues a real worker gives no order; here it is that of publishing, within a priority.
            message, takers = min(offers, key=lambda offer: offer[0].order)
            self._deliver(message, takers)

    def _next_of(self, queue: str) -> StoredMessage | None:
        """What the queue delivers next; of several, the first that the step may run."""
        if self._selection is None:
            return self.broker.head(queue)
        return next((m for m in self.broker.ready(queue) if m.is_task and self.selected(m)), None)

    def _deliver_beyond(self, only: str | None) -> bool:
        """Deliver one message that the step is to run though its worker is full; whether there was one.

        The worker is full of what this step must leave alone: only without that could it go on.
        """
        __tracebackhide__ = True
        if self._selection is None:
            return False
        for message in sorted(self.broker.ready(), key=lambda message: message.order):
            takers = [w for w in self.workers.values() if only in (None, w.name) and w.consumes(message.queue)]
            if message.is_task and takers and self.selected(message):
                self._deliver(message, takers)
                return True
        return False

    def _takers(self, queue: str) -> list[SteppedWorker]:
        return [worker for worker in self.workers.values() if worker.can_take(queue)]

    def _deliver(self, message: StoredMessage, takers: list[SteppedWorker]) -> None:
        __tracebackhide__ = True
        taker = takers[self._turn % len(takers)]  # RabbitMQ goes round its consumers
        self._turn += 1
        self._check_loop(message.history)
        with caused_by(message.history.cause):
            taker.deliver(message)

    def _choose(self, only: str | None) -> tuple[SteppedWorker, Any] | None:
        if self._random is not None:
            return self._choose_any(only)
        ready = [(entry, worker) for worker in self._working(only) for entry in self._first_pending(worker)]
        if not ready:
            return None
        entry, worker = min(ready, key=lambda pair: pair[0][0])
        worker.pending.remove(entry)
        return worker, entry[1]

    def _first_pending(self, worker: SteppedWorker) -> list[tuple[int, Any]]:
        if self._selection is None:
            return [worker.pending[0]] if worker.pending else []
        return [entry for entry in worker.pending if self.selected(_stored(entry[1]))][:1]

    def _working(self, only: str | None) -> Iterable[SteppedWorker]:
        return [self.workers[only]] if only is not None else self.workers.values()

    def _choose_any(self, only: str | None) -> tuple[SteppedWorker, Any] | None:
        """Any request that a worker has, or any message that one could get."""
        assert self._random is not None
        while True:
            held = [
                (worker, entry)
                for worker in self._working(only)
                for entry in worker.pending
                if self.selected(_stored(entry[1]))
            ]
            waiting = self._offers(only)
            count = sum(len(messages) for messages, _ in waiting)
            if not held and not count:
                return None
            number = self._random.randrange(len(held) + count)
            if number < len(held):
                worker, entry = held[number]
                worker.pending.remove(entry)
                return worker, entry[1]
            message, takers = _numbered(waiting, number - len(held))
            before = {worker.name: len(worker.pending) for worker in takers}
            self._deliver(message, takers)
            for worker in takers:
                if len(worker.pending) > before[worker.name]:
                    return worker, worker.pending.pop()[1]
            # It was held for its eta, or refused: choose again.

    def _offers(self, only: str | None) -> list[tuple[list[StoredMessage], list[SteppedWorker]]]:
        """The messages of each queue, and the workers that could get one of them."""
        offers = []
        for name, queue in self.broker.queues.items():
            ready = queue.ready
            if name in self.broker.mixed:
                ready = [message for message in ready if message.is_task]
            if self._selection is not None:
                ready = [message for message in ready if self.selected(message)]
            if ready and (takers := [one for one in self._takers(name) if only in (None, one.name)]):
                offers.append((ready, takers))
        return offers

    def _run(self, worker: SteppedWorker, request: Any) -> None:
        message = _stored(request)
        self.recorder.begun(message)
        self._check_loop(message.history)
        execution = self.execution
        execution.worker, self.book.message = worker, message
        try:
            with caused_by(message.history.cause):
                worker.begin(request)
        except WorkerDied as death:
            self.kill(worker, death.when, message)
            return
        except WorkerEnded as end:
            self.replace(worker, end.error, message)
        finally:
            execution.worker = self.book.message = None
        self.done.append(message)
        history: MessageHistory = message.history
        # A retry is a message of its own: were it doubled, too, each would double the runs of all that follow it.
        if self._redeliver_all and history.finished and not message.redelivered and not history.retries:
            self.broker.deliver_again(message)

    def _check_loop(self, history: MessageHistory) -> None:
        """Stop what never ends.

        Raises:
            EndlessLoop: the message has too many ancestors, or was delivered too often.
        """
        __tracebackhide__ = True
        if history.deliveries > self.limit:
            raise EndlessLoop(
                f"stopped: {history.name}[{history.id}] was delivered {history.deliveries} times. It goes back to its "
                f"queue each time ({self._why_again()}).\n"
                "If that is meant to end later, give run() a higher limit."
            )
        if history.depth > self.limit:
            cycle = cycle_of(history.lineage())
            raise EndlessLoop(
                f"stopped after {history.depth} tasks, each enqueued by the one before: "
                f"{' → '.join([*cycle, cycle[0]])} → …  [{history.where}]\n"
                "If that is meant to end later, give run() a higher limit; to see one round, use run_one()."
            )

    def _why_again(self) -> str:
        why = "Reject(requeue=True), or a lost worker with reject_on_worker_lost"
        if self.broker.profile == "redis":
            why += (
                "; or it is acknowledged late and runs longer than the visibility timeout of "
                f"{self.broker.visibility_timeout:g} s"
            )
        return why

    # -------------------------------------------------------------------------- time

    def next_moment(self) -> float | None:
        """When something will next be due, in seconds since the epoch; None where nothing will."""
        moments = [worker.timer.next_moment() for worker in self.workers.values() if worker.started]
        moments.append(self.broker.next_moment())
        known = [moment for moment in moments if moment is not None]
        return min(known) if known else None

    # ------------------------------------------------------------------- what waits

    def waiting(self) -> list[StoredMessage]:
        """The messages of tasks that are in a queue, or with a worker that has not begun them, as published.

        Read only: the list is the same until something else waits.
        """
        version = self.waiting_version()
        if self._waiting[0] != version:
            self._waiting = version, self._find_waiting()
        return self._waiting[1]

    def waiting_version(self) -> tuple[Any, ...]:
        """Another one whenever something else waits, or is read in another way."""
        return self.broker.version, self.book.message, active_clock()

    def _find_waiting(self) -> list[StoredMessage]:
        found = {id(m): m for m in self.broker.ready() if m.is_task}
        found.update(self.recorder.held)
        # On Redis, what a killed worker had is in no queue, and comes back after the visibility timeout.
        found.update({id(m): m for m in self.broker.unacked.values() if self._orphaned(m)})
        return sorted(found.values(), key=lambda m: m.history.number)

    def _orphaned(self, message: StoredMessage) -> bool:
        return message.is_task and id(message) not in self.recorder.held and message is not self.book.message

    def serves(self, queue: str) -> bool:
        """Whether a worker consumes a queue, or would as soon as it is used."""
        return any(worker.queues is None or queue in worker.queues for worker in self.workers.values())

    def held_until(self, message: StoredMessage) -> float | None:
        """When a worker will run a message that it holds for its eta; None where it does not know."""
        eta = self.recorder.task(message).eta
        return None if eta is None or eta.timestamp() <= time.time() else eta.timestamp()


def _stored(request: Any) -> StoredMessage:
    """The message of a request that a worker has."""
    message: StoredMessage = request.message._raw.stored
    return message


def _numbered(
    offers: list[tuple[list[StoredMessage], list[SteppedWorker]]], number: int
) -> tuple[StoredMessage, list[SteppedWorker]]:
    """The message of this number in all of the offers, and the workers that could get it."""
    for messages, takers in offers:
        if number < len(messages):
            return messages[number], takers
        number -= len(messages)
    raise IndexError(number)
