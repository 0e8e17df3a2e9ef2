"""A simulated broker: queues in memory that behave as RabbitMQ's or as kombu's on Redis do.

It holds all state of one :class:`~pytest_backchannel.tasks.queue.TaskQueue`, and nothing of it is global. kombu's
side of it is :mod:`pytest_backchannel.tasks.stepped.transport`.

What each profile models, with its source:

* ``rabbitmq``: a lost connection requeues what was not acknowledged, at its old place and marked as redelivered;
  priorities only on queues with ``x-max-priority``; ``x-message-ttl`` and a message's own ``expiration``;
  ``x-max-length`` with ``x-overflow``; dead-letter exchanges with their ``x-death`` headers
  (https://www.rabbitmq.com/docs/confirms, /priority, /ttl, /maxlen, /dlx).
* ``redis``: what was not acknowledged stays away until it is older than the visibility timeout and a sweep of a
  worker finds it; 0 is the highest priority, in steps; a requeued message goes to the end of its queue; expiration
  and queue arguments are ignored (kombu 5.5 to 5.7, transport/redis.py).
"""

from __future__ import annotations

import heapq
import itertools
import math
import re
import threading
import time
from bisect import bisect, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .packing import Packed, packed, unpacked

PROFILES = ("rabbitmq", "redis")

# The queues in which a message with an eta waits on its way to a quorum queue: nobody consumes them
# (kombu 5.5–5.7, transport/native_delayed_delivery.py).
DELAY_QUEUE = re.compile(r"celery_delayed_\d+$")

# kombu 5.5–5.7, transport/redis.py: Channel.visibility_timeout, .priority_steps, .unacked_restore_interval,
# .unacked_restore_throttle and .unacked_restore_limit. Until 5.6 the last three are constants with the same values.
VISIBILITY_TIMEOUT = 3600.0
PRIORITY_STEPS = (0, 3, 6, 9)
SWEEP_INTERVAL = 10.0
SWEEP_THROTTLE = 10
SWEEP_LIMIT = 10


@dataclass(eq=False, slots=True, weakref_slot=True)
class StoredMessage:
    """One message, where it is, and what is known of it.

    Attributes:
        raw: kombu's raw message; of one that is packed, a copy.
        packed: the message, packed; None where it is not.
        queue: the queue that it is in, or came from.
        order: its place in the queue: the least is delivered first.
        published_at: when it was published, in seconds since the epoch.
        queued_at: when it came into its queue.
        expires_at: when its time in the queue is over; infinite where it never is.
        delivered_at: when a worker received it; None while it is in its queue.
        holder: the worker that has it; None while it is in its queue.
        is_task: whether it is a task's message, not one of remote control or of an event.
        history: what the listener keeps with it.
        seen: what the listener has read of it.
    """

    raw: RawMessage
    queue: str
    order: tuple[float, ...] = ()
    published_at: float = 0.0
    queued_at: float = 0.0
    expires_at: float = math.inf
    delivered_at: float | None = None
    holder: object = None
    is_task: bool = True
    history: Any = None
    seen: Any = None
    packed: Packed | None = None

    def pack(self) -> None:
        """Keep it in less room, where that can be done: it is done."""
        if self.packed is None and (found := packed(self.raw)) is not None:
            self.packed = found
            del self.raw

    def __getattr__(self, name: str) -> Any:
        # Only of one that is packed: whoever reads another one pays for nothing.
        if name != "raw" or self.packed is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raw = RawMessage(unpacked(self.packed))
        raw.stored = self
        return raw

    @property
    def tag(self) -> str:
        """The delivery tag: kombu's virtual transports keep it for all deliveries of a message."""
        return str(self.raw["properties"]["delivery_tag"])

    @property
    def redelivered(self) -> bool:
        """What the broker says to the next worker that receives it."""
        return bool(self.raw["properties"].get("delivery_info", {}).get("redelivered"))


class RawMessage(dict[str, Any]):
    """kombu's raw message, which knows the stored message that it belongs to."""

    __slots__ = ("stored",)

    stored: StoredMessage


@dataclass
class QueueState:
    """A declared queue: its arguments, and the messages that are ready in it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    ready: list[StoredMessage] = field(default_factory=list)


class Listener:
    """What a broker tells of; each method does nothing here."""

    def published(self, message: StoredMessage) -> None:
        """A message came into a queue, from its producer."""

    def unroutable(self, raw: RawMessage) -> None:
        """A message was published, and no queue is bound for it."""

    def delivered(self, message: StoredMessage) -> None:
        """A worker received a message."""

    def acknowledged(self, message: StoredMessage) -> None:
        """A worker acknowledged a message."""

    def rejected(self, message: StoredMessage, requeue: bool) -> None:
        """A worker rejected a message."""

    def requeued(self, message: StoredMessage, reason: str) -> None:
        """The broker put a message back."""

    def dead_lettered(self, message: StoredMessage, reason: str, targets: tuple[str, ...]) -> None:
        """RabbitMQ moved a message to a dead-letter exchange."""

    def dropped(self, message: StoredMessage, reason: str) -> None:
        """A message is gone."""


class Broker:
    """All state of one simulated broker.

    Args:
        profile: ``rabbitmq`` or ``redis``.
        options: Celery's ``broker_transport_options``; the Redis profile reads ``visibility_timeout``,
            ``priority_steps`` and, as kombu 5.7 does, ``unacked_restore_interval``, ``unacked_restore_throttle`` and
            ``unacked_restore_limit``.
        listener: who is told what happens.
        is_task: tells a task's message from those of remote control and events.
        route: finds the queues for an exchange and a routing key, for dead letters.

    Raises:
        ValueError: the profile is none.
    """

    def __init__(
        self,
        profile: str = "rabbitmq",
        *,
        options: Mapping[str, Any] | None = None,
        listener: Listener | None = None,
        is_task: Callable[[Mapping[str, Any]], bool] | None = None,
        route: Callable[[str, str], list[str]] | None = None,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"profile={profile!r}: choose one of {', '.join(map(repr, PROFILES))}")
        options = options or {}
        self.profile = profile
        self.queues: dict[str, QueueState] = {}
        self.unacked: dict[str, StoredMessage] = {}
        self.visibility_timeout = float(options.get("visibility_timeout") or VISIBILITY_TIMEOUT)
        self.steps = tuple(options.get("priority_steps") or PRIORITY_STEPS)
        interval = float(options.get("unacked_restore_interval") or SWEEP_INTERVAL)
        self.sweep_period = interval * int(options.get("unacked_restore_throttle") or SWEEP_THROTTLE)
        self.sweep_limit = int(options.get("unacked_restore_limit") or SWEEP_LIMIT)
        self.listener = listener or Listener()
        self.route = route or (lambda exchange, key: [key] if not exchange else [])
        self.is_task = is_task or has_task_header
        self.published_to: set[str] = set()
        self.refusals = 0
        # Another number whenever another message waits, or one less does.
        self.version = 0
        # The queues that have ever had a message which is no task's.
        self.mixed: set[str] = set()
        self.lock = threading.RLock()
        self._sequence = 0
        # Those whose time will be over, the soonest first, with those that a worker has meanwhile; and those that may
        # not wait at all.
        self._mortal: list[tuple[float, int, StoredMessage]] = []
        self._pushed = itertools.count()
        self._at_once: list[StoredMessage] = []
        self._sweeping_since: float | None = None
        self._swept = 0.0

    # ------------------------------------------------------------ the producer's side

    def declare(self, queue: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Make a queue; a second declaration keeps the first one's arguments."""
        with self.lock:
            if queue not in self.queues:
                self.queues[queue] = QueueState(queue, dict(arguments or {}))

    def publish(self, raw: RawMessage, queues: Iterable[str]) -> None:
        """Put a message into each of the queues, as its own copy."""
        with self.lock:
            names = list(dict.fromkeys(queues))
            if not names:
                self.listener.unroutable(raw)
            for number, name in enumerate(names):
                self._enter(_copy(raw, f"/{number}") if number else raw, name)

    def _enter(self, raw: RawMessage, name: str) -> None:
        now = time.time()
        message = raw.stored = StoredMessage(
            raw=raw, queue=name, published_at=now, queued_at=now, is_task=self.is_task(raw)
        )
        self._sequence += 1
        message.order = self._order(message, self._sequence)
        self.declare(name)
        if message.is_task and name not in self.published_to and not DELAY_QUEUE.search(name):
            self.published_to.add(name)
        self._insert(message)
        self.listener.published(message)
        self._enforce_length(self.queues[name])

    def _insert(self, message: StoredMessage) -> None:
        self.version += 1
        if not message.is_task:
            self.mixed.add(message.queue)
        if self.profile == "rabbitmq":
            message.expires_at = self._expiry(message)
            if message.expires_at <= message.queued_at:
                self._at_once.append(message)
            elif message.expires_at < math.inf:
                heapq.heappush(self._mortal, (message.expires_at, next(self._pushed), message))
        insort(self.queues[message.queue].ready, message, key=lambda m: m.order)

    def _order(self, message: StoredMessage, place: float) -> tuple[float, ...]:
        priority = message.raw["properties"].get("priority") or 0
        if self.profile == "redis":
            # kombu, transport/virtual/base.py: _get_message_priority(); redis.py: priority().
            limited = max(0, min(int(priority), 9))
            return (self.steps[bisect(self.steps, limited) - 1], place)
        highest = self._argument(message.queue, "x-max-priority")
        return (-min(int(priority), int(highest)) if highest else 0, place)

    def _argument(self, queue: str, name: str) -> Any:
        state = self.queues.get(queue)
        return state.arguments.get(name) if state is not None and self.profile == "rabbitmq" else None

    def _enforce_length(self, queue: QueueState) -> None:
        limit = self._argument(queue.name, "x-max-length")
        if limit is None:
            return
        while len(queue.ready) > int(limit):
            # 'drop-head' is RabbitMQ's default; 'reject-publish' refuses the newest instead.
            newest = str(queue.arguments.get("x-overflow", "drop-head")).startswith("reject-publish")
            self._discard(queue.ready.pop(-1 if newest else 0), "maxlen")

    # -------------------------------------------------------------- the worker's side

    def head(self, queue: str) -> StoredMessage | None:
        """The message that the queue delivers next."""
        state = self.queues.get(queue)
        return state.ready[0] if state is not None and state.ready else None

    def ready(self, queue: str | None = None) -> list[StoredMessage]:
        """The messages that are in a queue, or in all of them, in the order of delivery."""
        names = [queue] if queue is not None else list(self.queues)
        return [message for name in names if name in self.queues for message in self.queues[name].ready]

    def take(self, message: StoredMessage, holder: object, *, no_ack: bool = False) -> RawMessage:
        """Deliver a message: it is out of its queue, and waits for its acknowledgement unless ``no_ack``."""
        with self.lock:
            self.version += 1
            ready = self.queues[message.queue].ready
            if ready[0] is message:
                ready.pop(0)
            else:
                ready.remove(message)
            message.holder, message.delivered_at = holder, time.time()
            if not no_ack:
                self.unacked[message.tag] = message
            return message.raw

    def ack(self, tag: str) -> None:
        """Forget a message; a tag that is unknown is ignored, as Redis does."""
        with self.lock:
            self.version += 1
            message = self.unacked.pop(tag, None)
        if message is not None:
            self.listener.acknowledged(message)

    def reject(self, tag: str, *, requeue: bool) -> None:
        """Put a message back, or drop it: into the dead-letter exchange of its queue where it has one."""
        with self.lock:
            self.version += 1
            message = self.unacked.pop(tag, None)
            if message is None:
                return
            self.listener.rejected(message, requeue)
            if requeue:
                self._put_back(message, to_end=self.profile == "redis")
            else:
                self._dead_letter(message, "rejected")

    def connection_lost(self, holder: object) -> None:
        """A worker is gone. RabbitMQ requeues what it had; on Redis only a sweep does."""
        if self.profile == "rabbitmq":
            self._requeue_all(holder, "its worker was lost")

    def given_back(self, holder: object) -> None:
        """A worker has ended of itself. kombu on Redis restores what it had as it ends, too."""
        self._requeue_all(holder, "its worker has ended")

    def _requeue_all(self, holder: object, reason: str) -> None:
        with self.lock:
            self.version += 1
            for tag, message in list(self.unacked.items()):
                if message.holder is holder:
                    del self.unacked[tag]
                    self._put_back(message)
                    self.listener.requeued(message, reason)

    def deliver_again(self, message: StoredMessage) -> None:
        """Put a message that is done into its queue once more, as a broker does that has not heard of its ack."""
        with self.lock:
            self.version += 1
            self.unacked.pop(message.tag, None)
            self._put_back(message)
            self.listener.requeued(message, "delivered once more")

    def _put_back(self, message: StoredMessage, *, to_end: bool = False) -> None:
        if to_end:
            self._sequence += 1
            message.order = self._order(message, self._sequence)
        raw = _copy(message.raw)
        raw["properties"]["delivery_info"]["redelivered"] = True
        if self.profile == "redis" and raw.get("headers") is not None:
            raw["headers"]["redelivered"] = True
        again = raw.stored = StoredMessage(
            raw=raw,
            queue=message.queue,
            order=message.order,
            published_at=message.published_at,
            queued_at=time.time(),
            is_task=message.is_task,
            history=message.history,
        )
        self.declare(message.queue)
        self._insert(again)

    # ---------------------------------------------------------------------------- time

    def begin_sweeping(self) -> None:
        """A worker has connected: from now on it looks for messages to restore."""
        if self._sweeping_since is None:
            # The first sweep is at the start (MultiChannelPoller.on_poll_init), when nothing can be overdue.
            self._sweeping_since = self._swept = time.time()

    def tick(self) -> None:
        """Drop the messages whose time is over."""
        with self.lock:
            if self._mortal:
                self._expire(time.time())

    def sweep(self) -> bool:
        """Restore what was unacknowledged for too long, where a sweep is due; whether there was any."""
        with self.lock:
            if self.profile != "redis" or not self.unacked or self._sweeping_since is None:
                return False
            return self._sweep(time.time())

    def mortal(self) -> list[StoredMessage]:
        """The messages that may not wait at all."""
        self._at_once = [message for message in self._at_once if message.holder is None]
        return list(self._at_once)

    def expire(self, message: StoredMessage) -> None:
        """Drop a message, whose time is over."""
        with self.lock:
            self.version += 1
            if message in self._at_once:
                self._at_once.remove(message)
            ready = self.queues[message.queue].ready
            if message in ready:
                ready.remove(message)
                self._discard(message, "expired")

    def next_moment(self) -> float | None:
        """When :meth:`tick` will next have something to do, in seconds since the epoch."""
        with self.lock:
            if self.profile == "rabbitmq":
                while self._mortal and self._mortal[0][2].holder is not None:
                    heapq.heappop(self._mortal)
                if self._mortal and self._mortal[0][2].is_task and not self._at_once:
                    return self._mortal[0][0]
                waiting = [*self._at_once, *(message for _, _, message in self._mortal)]
                return min((m.expires_at for m in waiting if m.is_task and m.holder is None), default=None)
            return self.next_sweep()

    def next_sweep(self) -> float | None:
        """When something will next be restored, in seconds since the epoch; None where nothing will."""
        if self.profile != "redis" or not self.unacked or self._sweeping_since is None:
            return None
        oldest = min(m.delivered_at or 0.0 for m in self.unacked.values())
        return self._sweep_at_or_after(oldest + self.visibility_timeout)

    def _expiry(self, message: StoredMessage) -> float:
        moments = [math.inf]
        ttl = self._argument(message.queue, "x-message-ttl")
        if ttl is not None:
            moments.append(message.queued_at + float(ttl) / 1000)
        expiration = message.raw["properties"].get("expiration")
        if expiration is not None:
            moments.append(message.queued_at + float(expiration) / 1000)
        return min(moments)

    def _expire(self, now: float) -> None:
        # What may not wait at all is for the engine, which knows whether a worker can have it at once.
        while self._mortal and self._mortal[0][0] <= now:
            message = heapq.heappop(self._mortal)[2]
            if message.holder is None:
                self.expire(message)

    def _sweep_at_or_after(self, moment: float) -> float:
        assert self._sweeping_since is not None
        periods = math.ceil(max(0.0, moment - self._sweeping_since) / self.sweep_period - 1e-9)
        return max(self._sweeping_since + periods * self.sweep_period, self._swept + self.sweep_period)

    def _sweep(self, now: float) -> bool:
        self.version += 1
        assert self._sweeping_since is not None
        periods = math.floor((now - self._sweeping_since) / self.sweep_period + 1e-9)
        last = self._sweeping_since + periods * self.sweep_period
        sweeps = round((last - self._swept) / self.sweep_period)
        if sweeps < 1:
            return False
        self._swept = last
        overdue = [m for m in self.unacked.values() if (m.delivered_at or 0.0) + self.visibility_timeout <= last]
        # ZREVRANGEBYSCORE with a limit: the latest of those overdue first.
        overdue.sort(key=lambda m: m.delivered_at or 0.0, reverse=True)
        for message in overdue[: self.sweep_limit * sweeps]:
            del self.unacked[message.tag]
            message.order = (message.order[0], -float(self._sequence))
            self._sequence += 1
            self._put_back(message)
            self.listener.requeued(message, f"unacknowledged for more than {self.visibility_timeout:g} s")
        return bool(overdue)

    # -------------------------------------------------------------------- dead letters

    def _discard(self, message: StoredMessage, reason: str) -> None:
        if self._argument(message.queue, "x-dead-letter-exchange") is not None:
            self._dead_letter(message, reason)
        else:
            why = {"expired": "its time in the queue was over", "maxlen": "its queue was full"}[reason]
            self.listener.dropped(message, why)

    def _dead_letter(self, message: StoredMessage, reason: str) -> None:
        exchange = self._argument(message.queue, "x-dead-letter-exchange")
        if exchange is None:
            return
        info = message.raw["properties"]["delivery_info"]
        key = self._argument(message.queue, "x-dead-letter-routing-key") or info.get("routing_key") or message.queue
        raw = _copy(message.raw)
        # RabbitMQ removes the message's own expiration, so that it does not expire again.
        raw["properties"].pop("expiration", None)
        raw["properties"]["delivery_info"].update(exchange=exchange, routing_key=key, redelivered=False)
        raw["headers"] = _with_death(raw.get("headers") or {}, message, reason)
        targets = tuple(self.route(exchange, key))
        self.listener.dead_lettered(message, reason, targets)
        for target in targets:
            letter = _copy(raw, f"/{target}")
            now = time.time()
            stored = letter.stored = StoredMessage(
                raw=letter, queue=target, published_at=message.published_at, queued_at=now, history=message.history
            )
            self._sequence += 1
            stored.order = self._order(stored, self._sequence)
            self.declare(target)
            self._insert(stored)
            self._enforce_length(self.queues[target])


def has_task_header(raw: Mapping[str, Any]) -> bool:
    """Whether a raw message is a task's, by Celery's message protocol 2."""
    return bool((raw.get("headers") or {}).get("task"))


def _copy(raw: RawMessage, suffix: str = "") -> RawMessage:
    properties = dict(raw["properties"])
    properties["delivery_info"] = dict(properties.get("delivery_info") or {})
    properties["delivery_tag"] = f"{properties['delivery_tag']}{suffix}"
    headers = raw.get("headers")
    return RawMessage(raw, properties=properties, headers=dict(headers) if headers is not None else None)


def _with_death(headers: Mapping[str, Any], message: StoredMessage, reason: str) -> dict[str, Any]:
    """The headers with RabbitMQ's account of why a message was dead-lettered."""
    info = message.raw["properties"].get("delivery_info") or {}
    deaths = [dict(death) for death in headers.get("x-death") or ()]
    same = next((d for d in deaths if d["queue"] == message.queue and d["reason"] == reason), None)
    if same is not None:
        deaths.remove(same)
        same["count"] += 1
    else:
        same = {
            "queue": message.queue,
            "reason": reason,
            "count": 1,
            "exchange": info.get("exchange", ""),
            "routing-keys": [info.get("routing_key", "")],
            "time": int(time.time()),
        }
    return {
        "x-first-death-queue": message.queue,
        "x-first-death-reason": reason,
        "x-first-death-exchange": info.get("exchange", ""),
        **headers,
        "x-death": [same, *deaths],
    }
