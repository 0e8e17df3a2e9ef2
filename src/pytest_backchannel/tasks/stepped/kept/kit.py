"""The parts of one kind of queue that outlive the test: a transport class, the app's AMQP, and started workers."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from celery import signals
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute
from kombu import pools

from ..producing import KeepingPool
from ..transport import transport_for
from .backends import Pattern
from .settings_print import SettingsPrint, Unknown
from .snapshot import Methods, Snapshot

# How many kinds of queues an app keeps the parts of: each broker that a module of tests stands on, say.
MOST_KITS = 4
# A worker's start writes it.
BESIDES = frozenset({"include", "CELERY_INCLUDE"})

Spec = tuple[str, tuple[tuple[str, tuple[str, ...] | None], ...], tuple[str, ...]]

# --- private API: celery.Celery, celery.app.amqp.AMQP, celery.utils.dispatch.Signal and kombu.pools, seen on celery
# --- 5.5–5.7 and kombu 5.5–5.7: what an AMQP keeps of the settings once it was used, and what its pools hold.


class KeptProducer:
    """An app's AMQP that has just been made, with all that its first message makes.

    Args:
        app: the app, redirected.
        amqp: its AMQP.
        transport: the transport class.

    Raises:
        Unknown: it is of a kind that can't be told to be unchanged.
    """

    def __init__(self, app: Any, amqp: Any, transport: Any) -> None:
        if not isinstance(amqp, AMQP) or type(amqp.producer_pool) is not KeepingPool:
            raise Unknown("an AMQP of the project's own")
        self.amqp = amqp
        self.settings = SettingsPrint(app.conf, BESIDES)
        for name in (
            "queues",
            "default_queue",
            "default_exchange",
            "router",
            "create_task_message",
            "send_task_message",
            "utc",
        ):
            getattr(amqp, name)
        if not all(_is_plain_route(route, app.conf.task_routes) for route in amqp.routes):
            raise Unknown("a router that is made anew for each AMQP")
        amqp.queues._consume_from = None  # as a worker leaves it
        with amqp.producer_pool.acquire() as producer:
            self._connection = producer.connection
            for owner, name in ((producer, "channel"), (self._connection, "recoverable_channel_errors")):
                getattr(owner, name)
        self.pool = app.pool
        self.limit = pools._limit[0]
        self.groups = [
            (group, key, pool)
            for group in (pools.producers, pools.connections)
            for key, pool in dict.items(group)
            if getattr(pool, "connections", pool).connection.transport_cls is transport
        ]
        self._receivers = [(signal, signal.receivers) for signal in _publish_signals()]
        self._inside = Snapshot([amqp, *(pool for _, _, pool in self.groups)], leave=leave_out(app, transport))
        self._methods = Methods(self._inside.kinds)

    def is_unchanged(self, app: Any) -> bool:
        """Whether an app would make the same one now; what a test puts in it is taken out first."""
        amqp = self.amqp
        queues = amqp.queues
        # A queue that a test has used is declared with the others from then on.
        inside = [queues, vars(queues).get("_default_consume_from"), self._connection.transport_options]
        self._inside.put_back(inside)
        queues._consume_from = None
        return (
            self.settings.is_same(app.conf)
            and pools._limit[0] == self.limit
            and all(signal.receivers is kept and "send" not in vars(signal) for signal, kept in self._receivers)
            and self._inside.is_same()
            and self._methods.are_same()
        )

    def install(self, app: Any) -> None:
        """Let it be the app's."""
        app._conf._observers.append(self.amqp._handle_conf_update)
        for group, key, pool in self.groups:
            dict.__setitem__(group, key, pool)
        vars(app)["_pool"] = self.pool

    def close(self) -> None:
        """Throw it away."""
        for _, _, pool in self.groups:
            pool.force_close_all()


def _publish_signals() -> tuple[Any, ...]:
    return signals.before_task_publish, signals.after_task_publish, signals.task_sent


def _is_plain_route(route: Any, routes: Any) -> bool:
    """Whether a prepared route remembers nothing, or is the very object that the settings hold."""
    if type(route) is MapRoute or type(route).__name__ in ("function", "builtin_function_or_method"):
        return True
    given = routes if isinstance(routes, list | tuple) else [routes]
    return any(route is one or getattr(route, "__self__", route) is one for one in given)


def leave_out(app: Any, transport: Any, *others: Any) -> Callable[[Any], bool]:
    """What is no part of a kit, though it can be reached from there."""
    left = (app, app.conf, app.loader, app.tasks, app.clock, transport.shared_state, *others)
    ids = {id(one) for one in left}
    return lambda value: id(value) in ids or isinstance(value, type)


class Kit:
    """The parts of one kind of queue.

    Args:
        app: the app.
        spec: which kind: the profile of its broker, the queues of each worker by its name, and the settings that it has
            been given.

    Attributes:
        transport: the transport class.
        producer: the app's AMQP, where it is kept.
        workers: by their names.
        spoiled: whether nothing of it may be used again.
    """

    def __init__(self, app: Any, spec: Spec) -> None:
        self.app = app
        self.spec = spec
        self.transport: Any = transport_for(spec[0])
        self.producer: KeptProducer | None = None
        self.workers: dict[str, Any] = {}
        # How to make result backends, by their kinds.
        self.patterns: dict[str, Pattern | None] = {}
        self.spoiled = False
        self._owner = _owner()
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    # ------------------------------------------------------------------------- AMQP

    def take_amqp(self) -> Any:
        """The AMQP of an earlier test, where the app would make the same one now; None where it would not."""
        if self.producer is None:
            return None
        if not self.producer.is_unchanged(self.app):
            self._close_producer()
            return None
        self.producer.install(self.app)
        return self.producer.amqp

    def keep_amqp(self, amqp: Any) -> None:
        """Keep an AMQP for other tests, where that can be done; it is in its place already."""
        with self.known():
            try:
                self.producer = KeptProducer(self.app, amqp, self.transport)
            except Exception:
                # Whoever publishes meets the error, at the same place as ever.
                self.producer = None

    @contextmanager
    def known(self) -> Generator[list[Any]]:
        """Within the block, the connections that are made are those of the kit; they are listed at its end."""
        before = set(self.transport.instances)
        made: list[Any] = []
        try:
            yield made
        finally:
            made += [one for one in self.transport.instances if one not in before]
            self._known.update(made)

    def keeps(self, pool: Any) -> bool:
        """Whether a pool is part of it."""
        return self.producer is not None and any(pool is own for _, _, own in self.producer.groups)

    def strays(self) -> bool:
        """Whether somebody else holds an open connection: a test, or a thread of it."""
        if self.producer is not None and self.producer.amqp.producer_pool._dirty:
            return True
        return any(one not in self._known and one.client is not None for one in self.transport.instances)

    # --------------------------------------------------------------- result backends

    def backend(self, kind: str, make: Callable[[], Any], shared: tuple[str, ...]) -> Any:
        """A new result backend.

        Args:
            kind: which.
            make: makes one from the settings.
            shared: attributes that all of a kind may have in common.
        """
        conf = self.app.conf
        pattern = self.patterns.get(kind)
        found = pattern.again(conf) if pattern is not None else None
        if found is None:
            found = make()
            try:
                self.patterns[kind] = Pattern(found, conf, BESIDES, shared)
            except Unknown:
                self.patterns[kind] = None
        return found

    # ----------------------------------------------------------------- begin and end

    def is_ours(self) -> bool:
        """Whether it was made in this process, and in this thread."""
        return self._owner == _owner()

    def close(self) -> None:
        """Throw everything away."""
        for worker in self.workers.values():
            worker.discard()
        self.workers.clear()
        self._close_producer()

    def _close_producer(self) -> None:
        if self.producer is not None:
            self.producer.close()
            self.producer = None
        self.transport.declarations.clear()


def _owner() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


# ------------------------------------------------------------------------- the shelf

# Not a registry of the module's: the parts know their app, and would keep it alive.
_SHELF = "_backchannel_kept"


def take(app: Any, spec: Spec) -> Kit:
    """The kit of an app for a kind of queue: the kept one, or a new one."""
    kit: Kit | None = _shelf(app).pop(spec, None)
    return kit if kit is not None and kit.is_ours() else Kit(app, spec)


def _shelf(app: Any) -> OrderedDict[Spec, Kit]:
    found: OrderedDict[Spec, Kit] = vars(app).setdefault(_SHELF, OrderedDict())
    return found


def give_back(kit: Kit) -> None:
    """Keep a kit for the next queue of its kind, or throw it away."""
    if kit.spoiled or kit.strays():
        kit.close()
        return
    shelf = _shelf(kit.app)
    known = shelf.pop(kit.spec, None)
    if known is not None:  # of a queue inside of this one
        known.close()
    shelf[kit.spec] = kit
    while len(shelf) > MOST_KITS:
        shelf.popitem(last=False)[1].close()


def clear(app: Any) -> None:
    """Throw away all that an app keeps."""
    for kit in vars(app).pop(_SHELF, {}).values():
        kit.close()


# --- end of private API
