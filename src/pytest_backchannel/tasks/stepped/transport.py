"""kombu's side of the simulated broker: a virtual transport that belongs to one :class:`Broker`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport import virtual
from kombu.transport.virtual.exchange import TopicExchange

from .broker import Broker, RawMessage

# kombu brings some types, and what they say of its virtual transports is not what those are.
_virtual: Any = virtual

# --- private API: kombu.transport.virtual, seen on kombu 5.5–5.7: the hooks with an underscore are how a virtual
# --- transport is written; kombu's own transports and the documented guide to them use the same.


class Topic(TopicExchange):
    """A topic exchange that matches word by word.

    kombu's own makes a regular expression, which until 5.6 takes for ever on the 28 words of a key by which Celery
    delays a message.
    """

    def key_to_pattern(self, rkey: str) -> str:
        """The pattern is the key itself."""
        return rkey

    def _match(self, pattern: str, string: str) -> bool:
        return topic_matches(pattern, string)


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a routing key fits a topic's pattern: ``*`` is one word, ``#`` any number of them.

    Example:
        >>> topic_matches("#.mail", "0.1.mail")
        True
    """
    words = key.split(".")
    # How much of the key each part of the pattern, from its beginning, can have taken.
    taken = {0}
    for part in pattern.split("."):
        if part == "#":
            taken = set(range(min(taken), len(words) + 1)) if taken else taken
        else:
            taken = {n + 1 for n in taken if n < len(words) and part in ("*", words[n])}
    return len(words) in taken


class Message(_virtual.Message):
    """A message as a worker sees it: with RabbitMQ its properties are those of AMQP, as py-amqp gives them."""

    # The basic properties of AMQP 0-9-1. kombu's virtual transports keep whatever a publisher hands over, such as the
    # `origin` of a retry; py-amqp sends no others.
    AMQP = frozenset(
        {
            "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type",
            "user_id", "app_id", "cluster_id",
        }
    )  # fmt: skip

    properties: dict[str, Any]

    def __init__(self, payload: RawMessage, channel: Any = None, **kwargs: Any) -> None:
        super().__init__(payload, channel=channel, **kwargs)
        if channel is not None and channel.broker.profile == "rabbitmq":
            own = {name: value for name, value in self.properties.items() if name in self.AMQP}
            self.properties = {
                "content_type": self.content_type,
                "content_encoding": self.content_encoding,
                "application_headers": self.headers,
                **{name: value for name, value in own.items() if value is not None},
            }


# A channel, its method, and what that was called with.
Declaration = tuple[Any, str, tuple[Any, ...], dict[str, Any]]


class Channel(_virtual.Channel):
    """A channel of the simulated broker; only delivery differs, which the worker asks for itself."""

    Message = Message
    exchange_types = {**_virtual.Channel.exchange_types, "topic": Topic}
    supports_fanout = True
    do_restore = False  # what was not acknowledged is the broker's to requeue, not the channel's

    @property
    def broker(self) -> Broker:
        """The broker that the connection belongs to."""
        broker: Broker = self.connection.broker
        return broker

    def prepare_message(self, body: Any, priority: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Make a message; RabbitMQ, unlike Redis, carries no priority where none is given."""
        message = super().prepare_message(body, priority, *args, **kwargs)
        if priority is None and self.broker.profile == "rabbitmq":
            message["properties"]["priority"] = None
        return message

    def basic_publish(self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any) -> None:
        """Put a message into the queues that are bound for it."""
        broker = self.broker
        if broker.refusals > 0 and broker.is_task(message):
            broker.refusals -= 1
            self.connection.refused(message)
            # What apply_async() raises once its own retries are used up (kombu.Connection._reraise_as_library_errors).
            raise OperationalError("the broker refused the message (task_queue.refuse_publish)")
        # A worker that runs has declared all its queues: other ones may be bound to this exchange than the producer's.
        if exchange or not broker.is_task(message):
            self.connection.wake()
        self._inplace_augment_message(message, exchange, routing_key)
        broker.publish(RawMessage(message), self.targets(exchange, routing_key))

    def targets(self, exchange: str, routing_key: str) -> list[str]:
        """The queues that a message to this exchange goes to, also by way of exchanges that are bound to it."""
        if not exchange:
            return [routing_key]
        listeners = self.connection.listening.get(exchange, {})
        if listeners and self.broker.profile == "redis" and self.typeof(exchange).type == "fanout":
            return sorted(set(listeners.values()))
        found: set[str] = set()
        reached, new = {exchange}, [exchange]
        while new:
            source = new.pop()
            found.update(self._lookup(source, routing_key))
            for pattern, destination in self.connection.exchange_bindings.get(source, ()):
                if destination not in reached and topic_matches(pattern, routing_key):
                    reached.add(destination)
                    new.append(destination)
        return sorted(found)

    def exchange_declare(self, exchange: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Declare an exchange: this connection knows its type from now on."""
        self._note("exchange_declare", (exchange, *args), kwargs)
        self.connection.declared.add(exchange)
        super().exchange_declare(exchange, *args, **kwargs)

    def queue_declare(self, *args: Any, **kwargs: Any) -> Any:
        """Declare a queue."""
        self._note("queue_declare", args, kwargs)
        return super().queue_declare(*args, **kwargs)

    def queue_bind(self, *args: Any, **kwargs: Any) -> None:
        """Bind a queue to an exchange."""
        self._note("queue_bind", args, kwargs)
        super().queue_bind(*args, **kwargs)

    def _note(self, method: str, args: Any, kwargs: Any) -> None:
        if self.connection.noted is not None:
            self.connection.noted.append((self, method, args, kwargs))

    def typeof(self, exchange: str, default: str = "direct") -> Any:
        """The type of an exchange; Redis keeps none, so that one which others have declared is taken for direct."""
        if self.broker.profile == "redis" and exchange not in self.connection.declared:
            return self.exchange_types[default]
        return super().typeof(exchange, default)

    def exchange_bind(
        self, destination: str, source: str = "", routing_key: str = "", nowait: bool = False, arguments: Any = None
    ) -> None:
        """Bind an exchange to another one, as RabbitMQ can; Celery does so for etas with quorum queues."""
        self._note("exchange_bind", (destination, source, routing_key), {})
        self.connection.exchange_bindings.setdefault(source, set()).add((routing_key, destination))

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> None:
        """Consume from a queue, and remember whether it wants acknowledgements."""
        self.connection.consumed[queue] = (self, no_ack)
        if queue in self.connection.fanout_queues:
            self._listen(queue)
        super().basic_consume(queue, no_ack, *args, **kwargs)

    def _listen(self, queue: str) -> None:
        """Note the queue for which Redis hands a fanout exchange's messages to this connection: the last one.

        Kombu subscribes once for an exchange, and knows one queue for it (kombu.transport.redis, _fanout_to_queue).
        """
        listeners = self.connection.listening.setdefault(self.connection.fanout_queues[queue], {})
        # A worker that was started again consumes what the one before it did.
        for other in [other for other, theirs in listeners.items() if theirs == queue]:
            del listeners[other]
        listeners[self.connection] = queue

    def basic_cancel(self, consumer_tag: str) -> None:
        """End consuming from a queue."""
        self.connection.consumed.pop(self._tag_to_queue.get(consumer_tag), None)
        super().basic_cancel(consumer_tag)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge one message."""
        self.broker.ack(delivery_tag)
        super().basic_ack(delivery_tag, multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject one message."""
        # The quality of service forgets it; requeueing is the broker's.
        super().basic_reject(delivery_tag, requeue=False)
        self.broker.reject(delivery_tag, requeue=requeue)

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue in self.broker.queues

    def _new_queue(self, queue: str, arguments: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.broker.declare(queue, arguments)

    def _size(self, queue: str) -> int:
        return len(self.broker.ready(queue))

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        self.broker.version += 1
        self.broker.queues.pop(queue, None)

    def _purge(self, queue: str) -> int:
        size = self._size(queue)
        if size:
            self.broker.version += 1
            self.broker.queues[queue].ready.clear()
        return size

    def _queue_bind(self, exchange: str, routing_key: str, pattern: Any, queue: str) -> None:
        """Kombu keeps the bindings in the broker's state; which queues have a fanout exchange is the connection's."""
        if self.typeof(exchange).type == "fanout":
            self.connection.fanout_queues[queue] = exchange

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        self.broker.publish(RawMessage(message), [queue])

    def _get(self, queue: str, timeout: float | None = None) -> RawMessage:
        message = self.broker.head(queue)
        if message is None:
            raise Empty
        return self.broker.take(message, self.connection, no_ack=self.connection.consumed.get(queue, (None, True))[1])

    def after_reply_message_received(self, queue: str) -> None:
        """A reply queue serves several replies."""


class Transport(_virtual.Transport):
    """A transport of the simulated broker; :func:`transport_for` makes the class that belongs to one."""

    Channel = Channel
    broker: Broker
    pump: Callable[[], bool]
    refused: Callable[[dict[str, Any]], None]
    wake: Callable[[], None]
    exchange_bindings: dict[str, set[tuple[str, str]]]
    listening: dict[str, dict[Any, str]]
    # By identity: queues and exchanges that a producer of a kit has declared once.
    declarations: dict[int, Any]
    # What is declared meanwhile; whoever is kept declares it again.
    noted: list[Declaration] | None = None
    # All of the class: one for each connection that was used.
    instances: weakref.WeakSet[Transport]
    polling_interval = None
    driver_name = "stepped"
    implements = _virtual.Transport.implements.extend(exchange_type=frozenset(["direct", "topic", "fanout"]))

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = self.shared_state
        self.consumed: dict[str, tuple[Channel, bool]] = {}
        self.declared: set[str | None] = set()
        self.fanout_queues: dict[str, str] = {}
        self.instances.add(self)

    shared_state: Any

    @classmethod
    @contextmanager
    def noting(cls) -> Generator[list[Declaration]]:
        """Within the block, what is declared is noted: the calls, to be made again."""
        before: list[Declaration] | None = cls.noted
        calls: list[Declaration] = []
        cls.noted = calls
        try:
            yield calls
        finally:
            cls.noted = before
            if before is not None:
                before += calls

    def driver_version(self) -> str:
        """There is no driver."""
        return "stepped"

    def deliver(self, raw: RawMessage, queue: str) -> None:
        """Hand one message to the consumer of its queue."""
        self._deliver(raw, queue)

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Hand over one message that waits; where there is none, let the workers answer, and never sleep.

        Raises:
            socket.timeout: no message waits, and none will come.
        """
        while True:
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                if not self.pump():
                    raise TimeoutError("no message waits, and the stepped worker has none to send") from None


# --- end of private API


def transport_for(profile: str) -> Any:
    """A transport class for one broker at a time: kombu tells its pools apart by it.

    Args:
        profile: of the broker.
    """
    return type(
        "SteppedTransport",
        (Transport,),
        {
            "shared_state": _virtual.BrokerState(),
            "exchange_bindings": {},
            # By fanout exchange: the connections that consume from a queue of it, and from which.
            "listening": {},
            "declarations": {},
            "instances": weakref.WeakSet(),
            # Celery looks at it: worker_disable_prefetch is for Redis, native delayed delivery for RabbitMQ.
            "driver_type": {"rabbitmq": "amqp", "redis": "redis"}[profile],
        },
    )


def attach(
    transport: Any,
    broker: Broker,
    *,
    pump: Callable[[], bool],
    wake: Callable[[], None],
    refused: Callable[[dict[str, Any]], None],
) -> None:
    """Let a transport class be that of a broker, in which nothing is declared yet.

    Args:
        transport: the class.
        broker: the broker.
        pump: lets the workers handle remote control; whether any did.
        wake: lets the workers start: something is published that only a worker which runs hears or has declared an
            exchange for, such as remote control.
        refused: told of each refused message.
    """
    transport.broker = broker
    transport.pump = staticmethod(pump)
    transport.wake = staticmethod(wake)
    transport.refused = staticmethod(refused)
    transport.shared_state.clear()
    transport.exchange_bindings.clear()
    for instance in transport.instances:
        instance.declared.clear()
        if instance.client is not None:
            instance.client.declared_entities.clear()
    broker.route = lambda exchange, key: _route(transport, exchange, key)


def detach(transport: Any) -> None:
    """Let a transport class be that of no broker: what is published now, by a thread that was left over, is gone."""
    profile = transport.broker.profile
    nothing = Broker(profile)
    attach(transport, nothing, pump=lambda: False, wake=lambda: None, refused=lambda raw: None)


class SteppedConnection(Connection):
    """A kombu connection over the simulated broker."""

    def info(self) -> dict[str, Any]:
        """As kombu's; the transport by its name, as in production: `inspect().stats()` sends it as JSON."""
        return {**super().info(), "transport": self.transport.driver_type}


def connect(transport: type) -> Connection:
    """A kombu connection over the transport."""
    return SteppedConnection("localhost", transport=transport)


def _route(transport: type, exchange: str, key: str) -> list[str]:
    with connect(transport) as connection, connection.channel() as channel:
        found: list[str] = channel.targets(exchange, key)
        return found
