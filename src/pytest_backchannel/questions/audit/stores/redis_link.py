"""The audit's own connection to a Redis, past redis-py: what a test has replaced or watches there is not touched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

_TIMEOUT = 5.0


class Place(NamedTuple):
    """One database of one server, and how to get there.

    Attributes:
        host: the server's name; empty where it is reached by a path.
        port: of the server.
        path: of its socket; empty where it is reached by a name.
        database: the number of the database.
        username: empty for the default one.
        password: empty for none.
    """

    host: str
    port: int
    path: str
    database: int
    username: str = ""
    password: str = ""

    def __str__(self) -> str:
        return f"{self.path or f'redis://{self.host}:{self.port}'}/{self.database}"


class ErrorReply(NamedTuple):
    """The server has refused a command.

    Attributes:
        text: why.
    """

    text: str


class Link:
    """A connection to a place.

    Args:
        place: where to.

    Raises:
        OSError: nobody answers there, or not as a Redis does.
    """

    def __init__(self, place: Place) -> None:
        self._lock = threading.Lock()
        self._socket = _connected(place)
        self._read = self._socket.makefile("rb")
        try:
            if place.password:
                names = [place.username.encode()] if place.username else []
                self._expect_ok(b"AUTH", *names, place.password.encode())
            if place.database:
                self._expect_ok(b"SELECT", str(place.database).encode())
        except BaseException:
            self.close()
            raise

    def ask(self, *commands: Sequence[bytes]) -> list[Any]:
        """Send some commands at once.

        Returns:
            The answer of each: bytes, a number, None, a list of them or an :class:`ErrorReply`.
        """
        with self._lock:
            self._socket.sendall(b"".join(map(_packed, commands)))
            return [self._answer() for _ in commands]

    def own_end(self) -> Any:
        """The end of it that is here, as a socket tells it."""
        return self._socket.getsockname()

    def close(self) -> None:
        """Close it."""
        self._read.close()
        self._socket.close()

    def _expect_ok(self, *words: bytes) -> None:
        (answer,) = self.ask(words)
        if isinstance(answer, ErrorReply):
            raise ConnectionError(answer.text)

    def _answer(self) -> Any:
        line = self._read.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection to Redis has ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return ErrorReply(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._bytes(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self._answer() for _ in range(int(rest))]
        raise ConnectionError(f"no answer of Redis: {line[:40]!r}")

    def _bytes(self, length: int) -> bytes:
        data = self._read.read(length + 2)
        if len(data) < length + 2:
            raise ConnectionError("the connection to Redis has ended")
        return data[:-2]


def _connected(place: Place) -> socket.socket:
    if not place.path:
        return socket.create_connection((place.host, place.port), timeout=_TIMEOUT)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.settimeout(_TIMEOUT)
        found.connect(place.path)
    except BaseException:
        found.close()
        raise
    return found


def _packed(words: Sequence[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def commands_of(packed: bytes) -> list[list[bytes]]:
    """The commands in what a client sends.

    Args:
        packed: whole commands, in the protocol of Redis.

    Raises:
        ValueError: it is something else.
    """
    found: list[list[bytes]] = []
    at = 0
    while at < len(packed):
        count, at = _number(packed, at, b"*")
        words: list[bytes] = []
        for _ in range(count):
            length, at = _number(packed, at, b"$")
            words.append(packed[at : at + length])
            at += length + 2
        found.append(words)
    return found


def _number(data: bytes, at: int, kind: bytes) -> tuple[int, int]:
    end = data.index(b"\r\n", at)
    if data[at : at + 1] != kind:
        raise ValueError(f"no command of Redis: {data[at : at + 40]!r}")
    return int(data[at + 1 : end]), end + 2
