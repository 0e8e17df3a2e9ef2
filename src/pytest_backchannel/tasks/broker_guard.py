"""Notices a connection to a real broker, from any Celery app of the process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import celery
from kombu import Connection

from ..active import Replaced, Replacement, Slot
from ..errors import RealBrokerContacted
from ..events import Location, caller, current_log
from ..restoring import Wrapper, replaced
from .configuration import ignored_eager_setting
from .stepped.transport import Transport

# The drivers of kombu's transports that need a server (kombu 5.7: driver_type of each of kombu.transport).
SERVERS = (
    "amqp", "py-amqp", "redis", "sqs", "sql", "mongodb", "zookeeper", "etcd", "consul", "qpid", "kafka",
    "azureservicebus", "azurestoragequeues", "gcpubsub", "slmq", "pgmq",
)  # fmt: skip


# --- private API: kombu.Connection._establish_connection, seen on kombu 5.5–5.7: the one place through which every
# --- connection goes when it is first used.


def _refusing(before: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
    def establish(self: Connection) -> Any:
        if needs_server(self):
            raise RealBrokerContacted(_note(self, caller(2)))
        return before(self)

    return establish


_refused = Wrapper(Connection, "_establish_connection", _refusing)


def refuse_real_brokers() -> replaced:
    """Within the block, a connection to a real broker is a problem of the test, and raises.

    Raises:
        RealBrokerContacted: at the place that connects.
    """
    return _refused.in_place()


def _noting(before: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
    @functools.wraps(before)
    def establish(connection: Connection) -> Any:
        meant = _meant.value
        if meant is None or not noting.rules(establish) or meant() or not needs_server(connection):
            return before(connection)
        where = caller(2)
        try:
            return before(connection)
        except RealBrokerContacted:
            where = None  # a fixture of ours has refused it, and told
            raise
        finally:
            if where is not None:
                _note(connection, where)

    return establish


_meant = Slot[Callable[[], bool]]("watch of connections to brokers")
#: While it is installed, a connection to a real broker is written into the log of the test that has said what it means
#: by :func:`note_real_brokers`, and made. It stands around every test of a project that imports Celery.
noting = Replaced(
    "notes of connections to brokers", lambda: [Replacement(Connection, "_establish_connection", _noting)]
)


def note_real_brokers(meant: Callable[[], bool] | None) -> None:
    """A test's body begins, or has ended.

    Args:
        meant: whether the test means to use a real broker; None where it has ended.
    """
    _meant.value = meant


def needs_server(connection: Connection) -> bool:
    """Whether the connection reaches out of the process."""
    transport = connection.transport_cls
    if isinstance(transport, type) and issubclass(transport, Transport):
        return False  # it says to Celery what it stands for
    return getattr(connection.transport, "driver_type", "") in SERVERS


# --- end of private API


def _ignored_eager_setting() -> str:
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    app = celery.current_app
    if settings is None or not settings.configured or app.main == "default":
        return ""
    return ignored_eager_setting(app, settings)


def _note(connection: Connection, where: Location | None) -> str:
    address = connection.as_uri().replace("://:**@", "://")  # kombu 5.7 puts a mask where there is no password
    text = (
        f"this test connects to a real broker, {address}.\n"
        "A unit test has none. Where the message belongs to another Celery app than the one under test, give that "
        "app's broker_url a value for tests (memory://); a test that means it is marked celery_integration."
    )
    ignored = _ignored_eager_setting()
    text += f"\n{ignored}" if ignored else ""
    current_log().problem("real_broker", text, where=where)
    return text
