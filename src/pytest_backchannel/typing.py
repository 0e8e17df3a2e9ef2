"""The type of what each fixture gives, and of what one gets from that: for the annotations of a test suite.

Each is imported when it is first asked for, as in :mod:`pytest_backchannel` itself. ``celery_eager`` and ``db_async``
give None.

    >>> from pytest_backchannel.typing import TaskQueue
    >>> def test_the_order_is_confirmed(task_queue: TaskQueue) -> None: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _load

if TYPE_CHECKING:
    from .channels.client.client import WebSocketClient as WebSocketClient
    from .channels.client.connection import Close as Close
    from .channels.client.factory import WebSocketFactory as WebSocketFactory
    from .channels.layer.layer import StrictLayer as StrictLayer
    from .channels.layer.records import GroupSend as GroupSend
    from .channels.layer.records import Lost as Lost
    from .channels.matrix import AccessMatrix as AccessMatrix
    from .channels.matrix import WebSocketMatrix as WebSocketMatrix
    from .channels.routes import Route as Route
    from .clock.virtual import Slept as Slept
    from .clock.virtual import VirtualClock as VirtualClock
    from .servers.asgi import AsgiServer as AsgiServer
    from .servers.brokers.external import ExternalRabbitMQ as ExternalRabbitMQ
    from .servers.brokers.external import ExternalRedis as ExternalRedis
    from .servers.brokers.rabbitmq import RabbitMQServer as RabbitMQServer
    from .servers.brokers.redis import RedisServer as RedisServer
    from .servers.workers.worker_factory import WorkerFactory as WorkerFactory
    from .servers.workers.worker_process import Worker as Worker
    from .tasks.expect.calls import TaskCall as TaskCall
    from .tasks.expect.messages import EnqueuedTask as EnqueuedTask
    from .tasks.outcomes import Counts as Counts
    from .tasks.outcomes import Outcome as Outcome
    from .tasks.outcomes import TaskFailure as TaskFailure
    from .tasks.outcomes import TaskRetry as TaskRetry
    from .tasks.outcomes import TaskSuccess as TaskSuccess
    from .tasks.queue import TaskQueue as TaskQueue

# The same as above, for the run; tests/unit/test_public.py holds them to each other.
_MODULES = {
    "AccessMatrix": ".channels.matrix",
    "AsgiServer": ".servers.asgi",
    "Close": ".channels.client.connection",
    "Counts": ".tasks.outcomes",
    "EnqueuedTask": ".tasks.expect.messages",
    "ExternalRabbitMQ": ".servers.brokers.external",
    "ExternalRedis": ".servers.brokers.external",
    "GroupSend": ".channels.layer.records",
    "Lost": ".channels.layer.records",
    "Outcome": ".tasks.outcomes",
    "RabbitMQServer": ".servers.brokers.rabbitmq",
    "RedisServer": ".servers.brokers.redis",
    "Route": ".channels.routes",
    "Slept": ".clock.virtual",
    "StrictLayer": ".channels.layer.layer",
    "TaskCall": ".tasks.expect.calls",
    "TaskFailure": ".tasks.outcomes",
    "TaskQueue": ".tasks.queue",
    "TaskRetry": ".tasks.outcomes",
    "TaskSuccess": ".tasks.outcomes",
    "VirtualClock": ".clock.virtual",
    "WebSocketClient": ".channels.client.client",
    "WebSocketFactory": ".channels.client.factory",
    "WebSocketMatrix": ".channels.matrix",
    "Worker": ".servers.workers.worker_process",
    "WorkerFactory": ".servers.workers.worker_factory",
}

if not TYPE_CHECKING:
    __all__ = list(_MODULES)

    def __getattr__(name: str) -> Any:
        return _load(__name__, name, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
