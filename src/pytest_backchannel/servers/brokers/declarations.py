"""What the clients of a RabbitMQ declare during a test, so that nothing of it reaches the next one.

AMQP can't list queues and exchanges. So each process of the run, the test's own and its workers, writes down what it
declares, and after the test it is deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...active import Replaced, Replacement, tracked

QUEUE, EXCHANGE = "queue", "exchange"
CONNECT_TIMEOUT = 5

_watching: list[Declarations] = tracked("declarations at brokers", [], of_the_run=True)


class Declarations:
    """The queues and exchanges that this run has declared in one virtual host, in a file that its processes share.

    Args:
        file: where they are written.
        host: the broker, as ``host:port``.
        virtual_host: the part of it that counts.
        shared: whether earlier runs may have left something there: the first declaration of a queue then deletes it
            before, with what it holds.
    """

    def __init__(self, file: str | Path, host: str, virtual_host: str, shared: bool = False) -> None:
        self.file = Path(file)
        self.host = host
        self.virtual_host = virtual_host
        self.shared = shared

    def arguments(self) -> list[Any]:
        """What another process needs to make the same."""
        return [str(self.file), self.host, self.virtual_host, self.shared]

    def watch(self) -> None:
        """Write down what this process declares from now on; a no-op where it can't speak AMQP."""
        if find_spec("amqp") is not None:
            _declaring.install()
            _watching.append(self)

    def unwatch(self) -> None:
        """The end of :meth:`watch`."""
        if self in _watching:
            _watching.remove(self)
            _declaring.remove()

    def concern(self, connection: Any) -> bool:
        """Whether an AMQP connection is to this virtual host."""
        return bool(connection.host == self.host and connection.virtual_host == self.virtual_host)

    def note(self, kind: str, name: str, connection: Any = None) -> None:
        """Write one down.

        Args:
            kind: ``queue`` or ``exchange``.
            name: as it is declared.
            connection: for what is still to be declared; None for what this run has just made.
        """
        with self._locked() as (file, known):
            if [kind, name] in known:
                return
            if self.shared and kind == QUEUE and connection is not None:
                _delete(connection, kind, name)
            file.write(json.dumps([kind, name]) + "\n")

    def delete(self, url: str) -> None:
        """Delete all that was written down; what can't be deleted, since the broker is gone, is tried the next time.

        Args:
            url: of the virtual host.
        """
        with self._locked() as (file, known):
            if not known:
                return
            left = known
            with contextlib.suppress(Exception):
                import kombu

                with kombu.Connection(url, connect_timeout=CONNECT_TIMEOUT) as client:
                    connection = client.connect()
                    left = [entry for entry in known if not _delete(connection, *entry)]
            file.truncate(0)
            file.writelines(json.dumps(entry) + "\n" for entry in left)

    @contextlib.contextmanager
    def _locked(self) -> Generator[tuple[Any, list[list[str]]]]:
        with open(self.file, "a+") as file:
            # Not waiting inside of flock: with gevent, the holder may be a greenlet of this very thread.
            while not _lock(file):
                time.sleep(0.002)
            file.seek(0)
            yield file, [json.loads(line) for line in file]


def _lock(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _delete(connection: Any, kind: str, name: str) -> bool:
    # A channel of its own: a refusal closes it.
    try:
        with connection.channel() as channel:
            if kind == QUEUE:
                channel.queue_delete(name)
            else:
                channel.exchange_delete(name)
    except Exception:  # amqp's, the socket's: the broker is gone, or somebody else holds it
        return False
    return True


# --- amqp.Channel.queue_declare and exchange_declare, seen on amqp 5.3: what kombu and Celery, and whoever uses either,
# --- declare goes through these two, in whatever process.


def _noting_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    def queue_declare(self: Any, queue: str = "", *args: Any, **kwargs: Any) -> Any:
        passive, exclusive = _given(args, kwargs, passive=0, exclusive=2)
        # An exclusive one ends with its connection.
        if passive or exclusive or not _declaring.rules(queue_declare):
            return original(self, queue, *args, **kwargs)
        if queue:
            _note(self, QUEUE, queue, self.connection)
        declared = original(self, queue, *args, **kwargs)
        if not queue and declared is not None:  # the broker has chosen a name
            _note(self, QUEUE, declared.queue)
        return declared

    return queue_declare


def _noting_exchange(original: Callable[..., Any]) -> Callable[..., Any]:
    def exchange_declare(self: Any, exchange: str, type: str, *args: Any, **kwargs: Any) -> Any:
        known = _given(args, kwargs, passive=0)[0] or not exchange or exchange.startswith("amq.")
        if not known and _declaring.rules(exchange_declare):
            _note(self, EXCHANGE, exchange, self.connection)
        return original(self, exchange, type, *args, **kwargs)

    return exchange_declare


def _replacements() -> list[Replacement]:
    from amqp.channel import Channel

    ours = {"queue_declare": _noting_queue, "exchange_declare": _noting_exchange}
    return [Replacement(Channel, name, make) for name, make in ours.items()]


_declaring = Replaced("declaring at brokers", _replacements, of_the_run=True)


# --- end of what is patched


def _given(args: tuple[Any, ...], kwargs: dict[str, Any], **positions: int) -> list[Any]:
    return [args[position] if position < len(args) else kwargs.get(name, False) for name, position in positions.items()]


def _note(channel: Any, kind: str, name: str, before: Any = None) -> None:
    for declarations in _watching:
        if declarations.concern(channel.connection):
            declarations.note(kind, name, before)
