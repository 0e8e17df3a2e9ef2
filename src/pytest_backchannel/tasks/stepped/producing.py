"""Celery's producer without what it does anew for each message: the same messages, in fewer steps.

A suite enqueues a task or two in each test, so that the first message is most of what it pays. Three things of it are
the same each time: the connection (a pool takes it from another pool, and binds the producer to it), whether a queue is
declared (kombu binds a copy of the queue, of its exchange and of its bindings to ask), and by which names a setting may
be known. What a message says is Celery's and kombu's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kombu import Exchange, Producer, Queue, pools
from kombu.pools import ProducerPool
from kombu.resource import Resource

from .kept.snapshot import Snapshot

# --- private API: kombu.pools, kombu.resource and kombu.messaging, seen on kombu 5.5–5.7, and celery.app.amqp.AMQP and
# --- celery.utils.collections.ConfigurationView, seen on celery 5.5–5.7: what a pool of producers does with a producer
# --- that comes and goes, and where the names of a setting are made.


_Producer: Any = Producer  # kombu's types know of no channel


class AskingProducer(_Producer):
    """kombu's producer, which asks whether an entity is declared before it binds it, and remembers how it was."""

    channel: Any
    __connection__: Any

    def maybe_declare(self, entity: Any, retry: bool = False, **retry_policy: Any) -> Any:
        """Declare an entity, once for a connection."""
        if not entity or not entity.can_cache_declaration:
            return super().maybe_declare(entity, retry, **retry_policy)
        transport = self.channel.connection
        declared = transport.client.declared_entities
        if declared and hash(entity) in declared:
            return False
        known: _Declared | None = transport.declarations.get(id(entity))
        if known is not None and known.is_same(self.channel):
            declare_again(known.calls)
            declared.add(hash(entity))
            return True
        with transport.noting() as calls:
            found = super().maybe_declare(entity, retry, **retry_policy)
        if _is_plain(entity):
            transport.declarations[id(entity)] = _Declared(entity, self.channel, calls)
        return found

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        """Give it back; after an error it gets another connection, as from kombu's pool."""
        if kind is not None and self.__connection__ is not None:
            self.__connection__.close()
            self.channel = self.__connection__ = None
        self.release()


class _Declared:
    """How a queue or an exchange was declared by a channel.

    Args:
        entity: the queue or exchange.
        channel: the channel.
        calls: what it was called with.
    """

    def __init__(self, entity: Any, channel: Any, calls: list[Any]) -> None:
        self.calls = calls
        self._channel = channel
        # It holds the entity, so that no other one gets its id.
        self._entity = Snapshot([entity])
        self._methods = _declaring()

    def is_same(self, channel: Any) -> bool:
        """Whether this channel would declare it in the same way now."""
        return channel is self._channel and self._entity.is_same() and _declaring() == self._methods


def _declaring() -> tuple[Any, ...]:
    return Queue.declare, Exchange.declare


def _is_plain(entity: Any) -> bool:
    """Whether nothing but the calls comes of declaring it."""
    return type(entity) is Exchange or (type(entity) is Queue and bool(entity.name) and entity.on_declared is None)


def declare_again(calls: Iterable[Any]) -> None:
    """Make the calls again that have declared something."""
    for channel, method, args, kwargs in calls:
        getattr(channel, method)(*args, **kwargs)


class KeepingPool(ProducerPool):
    """kombu's pool of producers, each of which keeps its connection: the simulated broker never loses one.

    The connection is of the producer alone, so that the pool of connections is the project's.
    """

    Producer = AskingProducer

    def _acquire_connection(self) -> Any:
        return self.connections.connection.clone()

    def release(self, resource: Any) -> None:
        """Take a producer back as it is; one whose connection is closed gets another one."""
        channel = resource._channel
        if channel is not None and not callable(channel) and channel.connection is None:
            resource.channel = resource.__connection__ = None
        vars(resource).pop("release", None)  # it is of this one use
        Resource.release(self, resource)


# An attribute of the app: what is called in place of sending a message, with what sends it before its arguments. Not of
# its AMQP, which outlives the queue.
AROUND_SEND = "_backchannel_around_send"
AroundSend = Callable[..., Any]

# How many arguments of AMQP.as_task_v2 stand between `kwargs` and `argsrepr`.
BEFORE_REPR = 20
# Of these, Celery's own repr says the same as Python's, unless it cuts it (tests/unit/tasks/stepped/test_producing.py).
_NUMBERS = frozenset({int, bool, type(None)})
SHORT = 200


class _KeepsConnections:
    """What differs of an app's AMQP: its pool of producers, and that the queue may look at what is sent."""

    app: Any
    _producer_pool: Any

    @property
    def producer_pool(self) -> Any:
        """The pool, made when it is first used."""
        if self._producer_pool is None:
            connection = self.app.connection_for_write()
            pool = KeepingPool(pools.connections[connection], limit=self.app.pool.limit)
            self._producer_pool = pools.producers[connection] = pool
        return self._producer_pool

    publisher_pool = producer_pool

    def _create_task_sender(self) -> Any:
        parent: Any = super()
        send, attributes = parent._create_task_sender(), vars(self.app)

        def send_task_message(*args: Any, **options: Any) -> Any:
            around: AroundSend | None = attributes.get(AROUND_SEND)
            return send(*args, **options) if around is None else around(send, *args, **options)

        return send_task_message

    def as_task_v2(self, task_id: Any, name: Any, args: Any = None, kwargs: Any = None, *rest: Any, **more: Any) -> Any:
        """As Celery's, which takes some forty calls to say ``(7,)``, and twenty that there are no keyword arguments."""
        if len(rest) < BEFORE_REPR:
            if type(args) in (tuple, list) and more.get("argsrepr") is None and _NUMBERS.issuperset(map(type, args)):
                text = repr(args or ())  # as Celery writes an empty list
                if len(text) < SHORT:
                    more["argsrepr"] = text
            if not kwargs and more.get("kwargsrepr") is None:
                more["kwargsrepr"] = "{}"
        parent: Any = super()
        return parent.as_task_v2(task_id, name, args, kwargs, *rest, **more)


@functools.cache
def keeping_connections(kind: type) -> Any:
    """The class of an app's AMQP, whose producers keep their connections."""
    return type(kind.__name__, (_KeepsConnections, kind), {})


def names_of_settings(conf: Any) -> Mapping[str, Callable[[str], Any]]:
    """A way to look up by which names a setting may be known, once for each name: they never change."""
    kind, known = type(conf), _names.setdefault((type(conf), conf.prefix, conf._keys), {})

    def to_keys(key: str) -> Any:
        try:
            return known[key]
        except KeyError:
            found = known[key] = kind._to_keys(conf, key)
            return found

    return {"_to_keys": to_keys}


# By the class and the names of a configuration.
_names: dict[Any, dict[str, Any]] = {}

# --- end of private API
