"""Celery's own worker, in one thread, that does one thing at a time and only when it is asked to.

The ``WorkController``, the consumer and its blueprint, the strategy, ``Request``, the tracer and all acknowledgements
are Celery's. Replaced are: the event loop (it returns at once: the task queue steps instead), the timer (ordered by
``time.time()``, which a virtual clock moves), and the pool (the function is called here, with faults on demand). What
the consumer receives waits in ``pending`` until it is its turn, as it waits in a prefork worker for a free process.

Not run: receivers of the worker's life cycle (``worker_init``, ``worker_process_init`` …), and boot steps that are
started and stopped; extensions/worker_boot.py says why.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import signals
from celery.app import trace
from celery.concurrency.base import BasePool
from celery.utils.time import rate
from celery.worker import WorkController
from celery.worker.consumer import Consumer
from kombu.asynchronous import timer as kombu_timer
from kombu.utils.limits import TokenBucket

from ...errors import BackchannelError
from ..extensions import batches
from ..extensions.worker_boot import StepReceivers, noticing
from .broker import Broker, StoredMessage
from .installation import Installation
from .kept.started import StartedWorker

# --- private API: celery.worker and kombu.asynchronous.timer, seen on celery 5.5–5.7 and kombu 5.5–5.7: a worker is
# --- made to be subclassed, and its consumer, pool and timer to be replaced by the settings worker_consumer,
# --- worker_pool and worker_timer; the methods with an underscore are the seams between them.

# The virtual clock stands at whole microseconds, and a moment may not.
TOLERANCE = 0.000002


def _now() -> float:
    return time.time()


def _wall_time(moment: float) -> float:
    return moment + time.time() - kombu_timer.monotonic()


class VirtualTimer(kombu_timer.Timer):
    """kombu's timer, whose entries are due by ``time.time()``.

    kombu hands over moments of the monotonic clock, which no virtual clock moves and which runs on between two
    readings; what comes of them is early by as much. So the moments that are known are taken from where they are known.
    """

    def call_at(self, eta: float, fun: Any, args: Any = (), kwargs: Any = None, priority: int = 0) -> Any:
        """Call a function at a moment; that of a request, exactly at the request's eta."""
        when = _wall_time(eta)
        for request in args:
            due = getattr(request, "eta", None)
            # One without a time zone is in that of the app, which is in kombu's moment alone.
            if isinstance(due, datetime) and due.tzinfo is not None:
                when = due.timestamp()
        return self._push(when, priority, self.Entry(fun, args, kwargs or {}))

    def enter_after(self, secs: float, entry: Any, priority: int = 0, time: Any = None) -> Any:
        """Enter an entry that is due after some seconds."""
        return self._push(_now() + float(secs), priority, entry)

    def call_repeatedly(self, secs: float, fun: Any, args: Any = (), kwargs: Any = None, priority: int = 0) -> Any:
        """Call a function after each so many seconds; kombu's own asks the monotonic clock whether they have passed."""

        def repeating(*args: Any, **kwargs: Any) -> None:
            try:
                fun(*args, **kwargs)
            finally:
                if not entry.canceled:
                    self._push(_now() + secs, priority, entry)

        entry = self.Entry(repeating, args, kwargs or {})
        return self._push(_now() + secs, priority, entry)

    def _enter(self, eta: float, priority: int, entry: Any, push: Any = heapq.heappush) -> Any:
        return self._push(_wall_time(eta), priority, entry)

    def _push(self, when: float, priority: int, entry: Any) -> Any:
        heapq.heappush(self._queue, kombu_timer.scheduled(when, priority, entry))
        return entry

    def is_due(self) -> bool:
        """Whether the time of an entry has come."""
        moment = self.next_moment()
        return moment is not None and moment <= time.time() + TOLERANCE

    def due(self) -> Any:
        """The next entry whose time has come, or None."""
        while self._queue and self._queue[0].eta <= time.time() + TOLERANCE:
            entry = heapq.heappop(self._queue).entry
            if not entry.canceled:
                return entry
        return None

    def next_moment(self) -> float | None:
        """When the next entry is due, in seconds since the epoch."""
        while self._queue and self._queue[0].entry.canceled:
            heapq.heappop(self._queue)
        return float(self._queue[0].eta) if self._queue else None


class VirtualBucket(TokenBucket):
    """kombu's token bucket, filled by ``time.time()``."""

    _tokens: float
    fill_rate: Any

    def __init__(self, fill_rate: float, capacity: Any = 1) -> None:
        super().__init__(fill_rate, capacity)
        self.timestamp = time.time()

    def can_consume(self, tokens: float = 1) -> bool:
        """Whether that many tokens were there; they are taken then."""
        # What will be there within the timers' tolerance is there: the timer would ask again at the same moment. It is
        # taken on credit, so that the rate holds.
        if tokens > self._get_tokens() + self.fill_rate * TOLERANCE:
            return False
        self._tokens -= tokens
        return True

    def _get_tokens(self) -> float:
        now = time.time()
        if self._tokens < self.capacity:
            self._tokens = min(self.capacity, self._tokens + self.fill_rate * (now - self.timestamp))
        self.timestamp = now
        return float(self._tokens)


class SteppedPool(BasePool):
    """Calls the function here and now, by way of :meth:`SteppedWorker.execute`."""

    # As in a prefork worker: `.get()` inside a task is refused.
    task_join_will_block = True
    body_can_be_buffer = True
    execute: Callable[..., None]

    def on_apply(self, target: Any, args: Any = (), kwargs: Any = None, **callbacks: Any) -> None:
        """Run one request."""
        type(self).execute(target, args, kwargs or {}, **callbacks)

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Nothing runs when remote control is handled, so there is nothing to terminate."""


class _Strategies(dict[str, Any]):
    """Makes the strategy of a task when its first message comes: a project may have hundreds of tasks."""

    consumer: Any
    installation: Installation

    def __missing__(self, name: str) -> Any:
        consumer = self.consumer
        task = consumer.app.tasks[name]  # a KeyError is what Celery takes for an unknown task
        if not type(consumer).is_registered(task):
            raise KeyError(name)
        if name not in consumer.task_buckets:
            consumer.task_buckets[name] = consumer.bucket_for_task(task)
        # Looked up now: a library that wraps it may have come after this module.
        tracer = trace.build_tracer(name, task, consumer.app.loader, consumer.hostname, app=consumer.app)
        _wrap_body(tracer, type(consumer).around_body)
        self.installation.trace(task, tracer)
        strategy = self[name] = task.start_strategy(consumer.app, consumer)
        return strategy


def _wrap_body(tracer: Any, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put a function around the task's own, inside of the tracer: what it returns is not stored yet there."""
    own = _own_tracer(tracer)
    if own is None:
        raise BackchannelError(
            "celery.app.trace.build_tracer() keeps the task's function in a variable `fun`, and the tracer that it "
            f"returns here, {tracer!r}, does not, nor does one that it wraps: this version of Celery is not supported "
            "yet, or a library has put a tracer of its own in the place of Celery's"
        )
    cell = own.__closure__[own.__code__.co_freevars.index("fun")]
    cell.cell_contents = wrap(cell.cell_contents)


def _own_tracer(tracer: Any) -> Any:
    """Celery's own tracer, below what others have wrapped around it, such as Sentry; None where there is none."""
    waiting, seen = deque([tracer]), set[int]()
    while waiting:
        function = waiting.popleft()
        code = getattr(function, "__code__", None)
        if id(function) in seen:
            continue
        seen.add(id(function))
        if code is not None and code.co_filename == trace.__file__ and "fun" in code.co_freevars:
            return function
        wrapped = getattr(function, "__wrapped__", None)
        # One that does not say what it wraps holds it in its closure.
        cells = [cell for cell in getattr(function, "__closure__", None) or () if callable(_contents(cell))]
        waiting.extend([wrapped] if callable(wrapped) else [_contents(cell) for cell in cells])
    return None


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


class SteppedConsumer(Consumer):
    """Celery's consumer without its loop."""

    Strategies = _Strategies
    installation: Installation
    undecodable: Callable[[Any, BaseException], None]
    around_body: Callable[[Callable[..., Any]], Callable[..., Any]]
    is_registered: Callable[[Any], bool]

    def loop(self, *args: Any) -> None:
        """Return at once: the task queue steps."""

    def start(self) -> None:
        """Start the blueprint, once: Celery's own starts it again for ever."""
        self.restart_count += 1
        self.blueprint.start(self)

    def update_strategies(self) -> None:
        """Leave each task to its first message."""
        self.strategies.consumer = self
        self.strategies.installation = type(self).installation

    def bucket_for_task(self, type: Any) -> Any:
        """The token bucket of a task with a rate limit, in virtual time."""
        limit = rate(getattr(type, "rate_limit", None))
        return VirtualBucket(limit, capacity=1) if limit else None

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """Tell, and acknowledge the message, as Celery does."""
        type(self).undecodable(message, exc)
        super().on_decode_error(message, exc)


class SteppedController(WorkController):
    """Celery's worker, which keeps what its consumer hands over until it is stepped."""

    pending: Callable[[Any], None]

    def _process_task(self, req: Any) -> None:
        type(self).pending(req)


@dataclass(frozen=True)
class Surroundings:
    """What a worker works for: one queue.

    Attributes:
        installation: the app, redirected.
        broker: the simulated broker.
        execute: runs the function of one request; what :class:`SteppedPool` calls.
        undecodable: told of each message that can't be decoded.
        around_body: wraps the function of each task.
        is_registered: whether a fresh worker process would have a task.
    """

    installation: Installation
    broker: Broker
    execute: Callable[..., None]
    undecodable: Callable[[Any, BaseException], None]
    around_body: Callable[[Callable[..., Any]], Callable[..., Any]]
    is_registered: Callable[[Any], bool]


class SteppedWorker:
    """One worker; it may serve one queue after the other.

    Args:
        name: its name, in messages and as the first part of its hostname.
        queues: the queues that it consumes; None serves every queue that is used.
        app: the Celery app.

    Attributes:
        hostname: its name, as Celery has it.
    """

    _arrivals = itertools.count()

    def __init__(self, name: str, queues: tuple[str, ...] | None, app: Any) -> None:
        self.name = name
        self.hostname = f"{name}@backchannel"
        self.queues = queues
        self.app = app
        self.pending: deque[tuple[int, Any]] = deque()
        self._controller_cls = type("Controller", (SteppedController,), {"pending": staticmethod(self._receive)})
        self._pool_cls: Any = type("Pool", (SteppedPool,), {})
        self._consumer_cls: Any = type("Consumer", (SteppedConsumer,), {})
        self.controller: Any = None
        self.consumer: Any = None
        self.receivers = StepReceivers()
        self.jobs = itertools.count()
        self._around: Surroundings | None = None
        self._started: StartedWorker | None = None
        self._transport: Any = None

    def attach(self, around: Surroundings) -> None:
        """Work for a queue from now on."""
        self._around = around
        self._pool_cls.execute = staticmethod(around.execute)
        kind = self._consumer_cls
        kind.installation = around.installation
        kind.undecodable = staticmethod(around.undecodable)
        kind.around_body = staticmethod(around.around_body)
        kind.is_registered = staticmethod(around.is_registered)

    def detach(self) -> None:
        """Work for none."""
        self._around = None
        self._pool_cls.execute = None
        kind = self._consumer_cls
        kind.installation = kind.undecodable = kind.around_body = kind.is_registered = None

    @property
    def broker(self) -> Broker:
        """The broker of the queue that it works for."""
        assert self._around is not None
        return self._around.broker

    @property
    def started(self) -> bool:
        """Whether it runs."""
        return self.controller is not None

    @property
    def timer(self) -> VirtualTimer:
        """Its timer: what is held for an eta, or by a rate limit."""
        timer: VirtualTimer = self.controller.timer
        return timer

    def _receive(self, request: Any) -> None:
        self.pending.append((next(self._arrivals), request))

    def start(self) -> None:
        """Connect, declare the queues and consume."""
        assert self._around is not None
        installation = self._around.installation
        self.jobs = itertools.count()
        started, self._started = self._started, None
        if started is not None and started.resume(installation):
            self._started, self.controller, self.consumer = started, started.controller, started.consumer
        else:
            if started is not None:
                started.close()
            with StartedWorker.noting(installation) as noted:
                self._start()
            self._started = noted.worker(self.controller, self.consumer)
        self._transport = self.consumer.connection.transport
        self.broker.begin_sweeping()

    @noticing
    def _start(self) -> None:
        concurrency = self.app.conf.worker_concurrency
        receivers, signals.worker_init.receivers = signals.worker_init.receivers, []
        try:
            self.controller = self._controller_cls(
                app=self.app,
                hostname=self.hostname,
                pool_cls=self._pool_cls,
                consumer_cls=self._consumer_cls,
                timer_cls=VirtualTimer,
                concurrency=concurrency if isinstance(concurrency, int) and concurrency > 0 else 1,
                queues=list(self.queues) if self.queues else None,
                use_eventloop=False,
                without_mingle=True,
                without_gossip=True,
                without_heartbeat=True,
            )
            self.controller.blueprint.start(self.controller)
        finally:
            signals.worker_init.receivers = receivers
            # The selection of queues is this worker's, and the app's object is shared with the next one.
            self.app.amqp.queues._consume_from = None
        self.consumer = self.controller.consumer
        self.consumer.task_consumer.on_message = self.consumer.create_task_handler()
        self.consumer.task_consumer.consume()

    def park(self) -> None:
        """The queue has ended: rest as it was started, with nothing in it of what has come since."""
        started = self._started
        if self.controller is not None and started is not None:
            self.pending.clear()
            self.controller = self.consumer = self._transport = None
            started.empty()
        else:
            self.drop()

    def discard(self) -> None:
        """End, also where it rests."""
        self.drop()
        if self._started is not None:
            self._started.close()
            self._started = None

    def drop(self) -> None:
        """End as a killed process does: nothing is told, nothing acknowledged."""
        self.receivers.forget()
        batches.forget(self.app)
        controller, consumer = self.controller, self.consumer
        if controller is not None:
            self._started = None
        self.controller = self.consumer = self._transport = None
        self.pending.clear()
        if controller is not None and controller.timer is not None:
            controller.timer.clear()
        if consumer is not None and consumer.connection is not None:
            consumer.connection.close()

    # ------------------------------------------------------------------------ delivery

    def consumes(self, queue: str) -> bool:
        """Whether it consumes from a queue."""
        return queue in self._transport.consumed

    def serve(self, queue: str) -> None:
        """Consume from one more queue, as `app.control.add_consumer` does."""
        self.consumer.add_task_queue(queue)

    def can_take(self, queue: str) -> bool:
        """Whether its prefetch count allows one more message of the queue."""
        consumed = self._transport.consumed.get(queue)
        return consumed is not None and consumed[0].qos.can_consume()

    def deliver(self, message: StoredMessage) -> None:
        """Give it one message; it runs, or is held, or is refused, as Celery decides."""
        queue = message.queue
        no_ack = self._transport.consumed[queue][1]
        raw = self.broker.take(message, self, no_ack=no_ack)
        if message.is_task:
            self.broker.listener.delivered(message)
        self._transport.deliver(raw, queue)
        self._turn()

    def control_messages(self) -> list[StoredMessage]:
        """The messages of remote control that wait for it."""
        return [
            message
            for queue, (_, no_ack) in self._transport.consumed.items()
            if no_ack
            for message in self.broker.ready(queue)
        ]

    def ripen(self) -> None:
        """Let the timer's entries that are due do their work."""
        while (entry := self.timer.due()) is not None:
            self.timer.apply_entry(entry)
        self._turn()

    def begin(self, request: Any) -> None:
        """Give a request to the pool, as Celery's worker does when a process is free."""
        WorkController._process_task(self.controller, request)
        self._turn()

    def _turn(self) -> None:
        """What the worker's loop does each time round (celery.worker.loops.synloop)."""
        self.consumer.perform_pending_operations()
        qos = self.consumer.qos
        if qos.prev != qos.value:  # a message that is held for its eta does not count against the prefetch limit
            qos.update()


# --- end of private API
