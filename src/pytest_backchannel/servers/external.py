"""Brokers that somebody else runs, such as the services of a CI: one part of each, for this run alone."""

from __future__ import annotations

import os
import socket
from typing import Any, NoReturn

from ..errors import BackchannelError
from .urls import with_database, without_secrets

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
        raise BackchannelError(
            f"{self.name}_server is the one of {self.option} ({without_secrets(self.given)}): this run has not "
            "started it and can't stop, start, pause or kill it. Leave the option out for a private server"
        )

    def start(self) -> None:
        """Refused, as is every other control: see the class."""
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
        import redis

        super().__init__(given)
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        try:
            self._client = self._lease()
        except (redis.RedisError, ValueError) as error:
            raise BackchannelError(
                f"{self.option}={without_secrets(given)}: {type(error).__name__}: {error}"
            ) from error

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
    (``gw0``, ``gw1``, …; without xdist it is ``main``).

    Args:
        given: ``amqp://user:password@host:port/vhost``.
        worker: what replaces ``{worker}``.

    Raises:
        BackchannelError: it does not answer, refuses the login, or another run holds the virtual host.
    """

    name = "rabbitmq"
    option = "--backchannel-rabbitmq-url"
    LEASE = "pytest-backchannel-lease"

    def __init__(self, given: str, worker: str) -> None:
        import kombu

        super().__init__(given)
        self.url = given.replace(WORKER_PLACEHOLDER, worker)
        self._connection: Any = kombu.Connection(self.url, connect_timeout=5)
        try:
            channel: Any = self._connection.default_channel
            channel.queue_declare(self.LEASE, exclusive=True, durable=False)
        except Exception as error:  # amqp's, the socket's, kombu's: the url does not serve, and the error says how
            self._connection.release()
            locked = "RESOURCE_LOCKED" in str(error)
            raise BackchannelError(
                f"{self.option}={without_secrets(self.url)}: "
                + (
                    "another run, or another worker of pytest-xdist, uses this virtual host. Give each its own: put "
                    f"{WORKER_PLACEHOLDER} in the url, and make virtual hosts named gw0, gw1, …"
                    if locked
                    else f"{type(error).__name__}: {error}"
                )
            ) from error

    def close(self) -> None:
        """Give the virtual host back."""
        self._connection.release()


def _connect(url: str) -> Any:
    import redis

    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)


def _database_of(url: str) -> int:
    path = url.partition("?")[0].partition("://")[2].partition("/")[2]
    if not path:
        return 0
    if not path.isdigit():
        raise ValueError(f"the part after the last slash is {path!r}: give the number of a database, such as /0")
    return int(path)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True
