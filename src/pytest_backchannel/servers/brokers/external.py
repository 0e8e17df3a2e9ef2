"""Brokers that somebody else runs, such as the services of a CI: one part of each, for this run alone."""

from __future__ import annotations

import os
import socket
from typing import Any, NoReturn

from ...errors import BackchannelError
from ..urls import with_database, without_secrets
from ..watchdog import make_folder, remove_folder
from .declarations import CONNECT_TIMEOUT, Declarations

WORKER_PLACEHOLDER = "{worker}"


class External:
    """What the two have in common: nothing of this run controls them.

    Attributes:
        url: the part that belongs to this run.
    """

    name: str
    option: str
    running = True
    paused = False

    def __init__(self, given: str) -> None:
        self.given = given
        self.url = given

    def _refuse(self) -> NoReturn:
        __tracebackhide__ = True
        raise BackchannelError(
            f"{self.name}_server is the one of {self.option} ({without_secrets(self.given)}): this run has not "
            "started it and can't stop, start, pause or kill it. Leave the option out for a private server"
        )

    def start(self) -> None:
        """Refused, as is every other control: see the class."""
        __tracebackhide__ = True
        self._refuse()

    stop = restart = pause = resume = kill = cut_connections = start

    def clear(self) -> None:
        """Remove what this run left in it."""

    def close(self) -> None:
        """Give the part of this run back."""


class ExternalRedis(External):
    """One empty database of a Redis, leased by a key that names this machine and process.

    So the workers of pytest-xdist and other runs do not meet. It is emptied at the end; what a killed run left is taken
    over by the next run on the same machine.

    Args:
        given: ``redis://host:port/number``; the search for an empty database begins at the number.

    Raises:
        BackchannelError: it does not answer, or has no database to spare.
    """

    name = "redis"
    option = "--backchannel-redis-url"
    LEASE = "pytest-backchannel-lease"

    def __init__(self, given: str) -> None:
        __tracebackhide__ = True
        import redis

        super().__init__(given)
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        try:
            self._client = self._lease()
        except (redis.RedisError, ValueError) as error:
            # Without what led to it: its frames show the url, with the password.
            raise BackchannelError(f"{self.option}={without_secrets(given)}: {type(error).__name__}: {error}") from None

    def _lease(self) -> Any:
        first, last = _database_of(self.given), 15
        for number in range(first, last + 1):
            url = with_database(self.given, number)
            database = _connect(url)
            if self._take(database):
                self.url = url
                return database
            database.close()
        raise BackchannelError(
            f"{self.option}={without_secrets(self.given)}: no free database from {first} to {last}: each is in use by "
            "another run or holds data that is not this run's. Empty one, or give another server"
        )

    def _take(self, database: Any) -> bool:
        holder = database.get(self.LEASE)
        if holder is not None:
            host, _, pid = holder.decode(errors="replace").rpartition(":")
            if host != socket.gethostname() or _alive(pid):
                return False
            database.flushdb()
        return database.dbsize() == 0 and bool(database.set(self.LEASE, self._owner, nx=True))

    def clear(self) -> None:
        """Remove everything from the leased database, and keep the lease."""
        self._client.flushdb()
        self._client.set(self.LEASE, self._owner)

    def close(self) -> None:
        """Empty the database and give the lease back."""
        self._client.flushdb()
        self._client.close()


class ExternalRabbitMQ(External):
    """One virtual host of a RabbitMQ, held by an exclusive queue while this run lasts.

    AMQP cannot create virtual hosts: with pytest-xdist, put ``{worker}`` in the url and make one for each worker
    (``gw0``, ``gw1``, …; without xdist it is ``main``). What this run declares there is deleted after each test; a
    queue of the same name that a killed run left is deleted, with its messages, before this run declares it.

    Args:
        given: ``amqp://user:password@host:port/vhost``.
        worker: what replaces ``{worker}``.

    Attributes:
        declarations: what is declared there during a test.

    Raises:
        BackchannelError: it does not answer, refuses the login, has no such virtual host, or another run holds it.
    """

    name = "rabbitmq"
    option = "--backchannel-rabbitmq-url"
    LEASE = "pytest-backchannel-lease"

    def __init__(self, given: str, worker: str) -> None:
        __tracebackhide__ = True
        import kombu

        super().__init__(given)
        self.url = given.replace(WORKER_PLACEHOLDER, worker)
        self._connection: Any = kombu.Connection(self.url, connect_timeout=CONNECT_TIMEOUT)
        try:
            connection = self._connection.connect()
            connection.channel().queue_declare(self.LEASE, exclusive=True, durable=False)
        except Exception as error:  # amqp's, the socket's, kombu's: the url does not serve, and the error says how
            why = self._why(error)
            self._connection.release()
            # Without what led to it: its frames show the url, with the password.
            raise BackchannelError(f"{self.option}={without_secrets(self.url)}: {why}") from None
        self._folder = make_folder("rabbitmq")
        self.declarations = Declarations(
            self._folder / "declared.jsonl", connection.host, connection.virtual_host, shared=True
        )
        self.declarations.watch()

    def _why(self, error: Exception) -> str:
        text, name = str(error), self._connection.virtual_host
        if "RESOURCE_LOCKED" in text:
            if WORKER_PLACEHOLDER in self.given:
                return f"another run uses the virtual host {name!r} at this moment: wait for it, or name another"
            return (
                f"another run, or another worker of pytest-xdist, uses the virtual host {name!r} at this moment. Give "
                f"each its own: put {WORKER_PLACEHOLDER} in the url, and make virtual hosts named gw0, gw1, …"
            )
        allow = f"rabbitmqctl set_permissions -p {name} {self._connection.userid} '.*' '.*' '.*'"
        if f"vhost {name} not found" in text:
            return f"there is no virtual host {name!r}. Make it: rabbitmqctl add_vhost {name}; {allow}"
        if "access to vhost" in text:
            return f"the user {self._connection.userid!r} may not use the virtual host {name!r}. Allow it: {allow}"
        return f"{type(error).__name__}: {text}"

    def clear(self) -> None:
        """Delete the queues and exchanges that this process and its workers have declared, with all messages."""
        self.declarations.delete(self.url)

    def close(self) -> None:
        """Empty the virtual host of what this run declared, and give it back."""
        self.declarations.unwatch()
        self.clear()
        self._connection.release()
        remove_folder(self._folder)


def _connect(url: str) -> Any:
    import redis

    return redis.Redis.from_url(url, socket_timeout=CONNECT_TIMEOUT, socket_connect_timeout=CONNECT_TIMEOUT)


def _database_of(url: str) -> int:
    path = url.partition("?")[0].partition("://")[2].partition("/")[2]
    if not path:
        return 0
    if not path.isdigit():
        raise ValueError(f"the part after the last slash is {path!r}: give the number of a database, such as /0")
    return int(path)


def _alive(pid: str) -> bool:
    import psutil

    return not pid.isdecimal() or psutil.pid_exists(int(pid))
