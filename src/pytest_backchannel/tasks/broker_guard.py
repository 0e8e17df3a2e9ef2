"""Notices a connection to a real broker, from any Celery app of the process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import celery
from kombu import Connection

from ..active import Slot
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


class _Noting:
    """Stands in the place of kombu's method while a test runs, and is kept for the next one that finds the same there.

    Args:
        before: what stands there.
    """

    def __init__(self, before: Any) -> None:
        self.before = before
        self.meant: Callable[[], bool] | None = None  # None while no test runs: then it only passes calls on

        @functools.wraps(before)
        def establish(connection: Connection) -> Any:
            meant = self.meant
            if meant is None or meant() or not needs_server(connection):
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

        self.establish: Any = establish

    def end(self) -> None:
        """Put back what was there, unless somebody else has replaced it meanwhile."""
        self.meant = None
        if vars(Connection)["_establish_connection"] is self.establish:
            Connection._establish_connection = self.before


_latest = Slot[_Noting]("watch of connections to brokers, kept", of_the_run=True)


def note_real_brokers(meant: Callable[[], bool]) -> Callable[[], None]:
    """From now on, a connection to a real broker is written into the log of the test, and made.

    No context manager, and nothing is looked at before there is a connection: it stands around every test of a project
    that imports Celery.

    Args:
        meant: whether the test means to use a real broker.

    Returns:
        What ends it.
    """
    current, noting = vars(Connection)["_establish_connection"], _latest.value
    if noting is not None and noting.meant is None and current is noting.establish:
        current = noting.before  # ours stands there where somebody had patched the place, and has undone it since
    if noting is None or noting.meant is not None or noting.before is not current:
        noting = _latest.value = _Noting(current)
    noting.meant = meant
    Connection._establish_connection = noting.establish
    return noting.end


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
