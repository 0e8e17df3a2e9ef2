"""A worker that was started once, and resumes: as it was made, or not at all."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from operator import is_
from typing import Any

from ..producing import declare_again
from .kit import BESIDES, Kit, leave_out
from .settings_print import SettingsPrint, Unknown
from .snapshot import Methods, Snapshot

# --- private API: celery.worker, kombu.transport.virtual and kombu.common.QoS, seen on celery 5.5–5.7 and kombu
# --- 5.5–5.7: what a worker that was started holds, and which of it changes as it works. All else that changes is
# --- found by the snapshot, and ends the worker.


class Noted:
    """What a worker's start has been made of."""

    def __init__(self, installation: Any) -> None:
        app = installation.app
        self.installation = installation
        self.kit: Kit | None = installation.kit
        self.declarations: list[Any] = []
        self.connections: list[Any] = []
        self.settings: SettingsPrint | None = None
        self.tasks = dict(app.tasks)
        self.amqp = app.amqp
        kept = self.kit is not None and self.kit.producer is not None and self.kit.producer.amqp is self.amqp
        if not kept or any(installation.steps.values()) or app.conf.worker_direct or app.conf.worker_disable_prefetch:
            return
        with suppress(Unknown):
            self.settings = SettingsPrint(app.conf, BESIDES)

    def worker(self, controller: Any, consumer: Any) -> StartedWorker | None:
        """The worker, where it may be used again."""
        if self.settings is None or self.kit is None or any(call[0].closed for call in self.declarations):
            return None
        return StartedWorker(self, controller, consumer)


class StartedWorker:
    """A worker, and how it was when it had started."""

    def __init__(self, noted: Noted, controller: Any, consumer: Any) -> None:
        app = noted.installation.app
        self.controller = controller
        self.consumer = consumer
        self._amqp = noted.amqp
        self._settings = noted.settings
        self._tasks = noted.tasks
        self._declarations = noted.declarations
        self._include = app.conf.include
        assert noted.kit is not None
        # Strategies and buckets are of one queue.
        consumer.strategies.clear()
        consumer.task_buckets.clear()
        consumer.strategies.installation = None
        self._startup_time = controller.startup_time
        self._numbers = consumer._limit_order, consumer.qos.value, consumer.qos.prev
        consumer.qos.prev = consumer.qos.prev  # until it is used, only its class has one
        transport = consumer.connection.transport
        self._consumed = frozenset(transport.consumed)
        self._channels = [(one, one.qos, one.qos.prefetch_count, one._cycle) for one in transport.channels]
        for _, qos, _, _ in self._channels:
            qos._on_collect.cancel()  # at the end of the process, which would keep it, and the app, until then
        self._inside = Snapshot([controller, consumer], leave=leave_out(app, noted.kit.transport, noted.amqp))
        consumer.strategies.installation = noted.installation
        self._methods = Methods(self._inside.kinds)
        used = [one for one in noted.connections if one.client is not None]
        declared = [one.declared for one in used] + [one.client.declared_entities for one in used]
        self._declared = [(one, set(one)) for one in declared]

    @staticmethod
    @contextmanager
    def noting(installation: Any) -> Generator[Noted]:
        """Within the block a worker starts: note what it is made of, and what it declares."""
        noted = Noted(installation)
        if noted.kit is None:
            yield noted
            return
        with noted.kit.transport.noting() as noted.declarations, noted.kit.known() as noted.connections:
            yield noted

    def empty(self) -> None:
        """Take out what has come since it was started."""
        controller, consumer = self.controller, self.consumer
        consumer.strategies.clear()
        consumer.strategies.installation = None
        consumer.task_buckets.clear()
        consumer._pending_operations.clear()
        controller.timer.clear()
        controller.startup_time = self._startup_time
        transport = consumer.connection.transport
        for name in [name for name in transport.consumed if name not in self._consumed]:  # declared nowhere
            consumer.task_consumer.cancel_by_queue(name)
        consumer._limit_order, consumer.qos.value, consumer.qos.prev = self._numbers
        for channel, qos, count, cycle in self._channels:
            channel._cycle = cycle
            qos.prefetch_count = count
            qos._delivered.clear()
            qos._dirty.clear()

    def resume(self, installation: Any) -> bool:
        """Work for another queue, where a worker that starts now would be the same; whether it would."""
        app = installation.app
        tasks = app.tasks
        if (
            app.amqp is not self._amqp
            or any(installation.steps.values())
            or self._settings is None
            or not self._settings.is_same(app.conf)
            or len(tasks) != len(self._tasks)
            or not all(map(is_, tasks.values(), self._tasks.values()))
        ):
            return False
        for declared, before in self._declared:
            declared.clear()
            declared.update(before)
        if not self._inside.is_same() or not self._methods.are_same():
            return False
        declare_again(self._declarations)
        self.controller.startup_time = datetime.now(UTC)
        self.consumer.strategies.installation = installation
        app.conf.changes[app.conf._key("include")] = self._include
        return True

    def close(self) -> None:
        """End it."""
        self.controller.timer.clear()
        self.consumer.connection.close()


# --- end of private API
