"""A private RabbitMQ server."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from ...errors import ServerFailed, ServerMissing
from ..process import LOOPBACK, Process, find_binary, free_port, listens, start_on_free_ports
from .declarations import Declarations

START_TIMEOUT = 60.0
DEBIAN = "/usr/lib/rabbitmq/bin/rabbitmq-server"
STOP_TIMEOUT = 15.0
CONTROL_TIMEOUT = 60.0


def rabbitmq_binary() -> str:
    """RabbitMQ's own start script.

    Debian puts another script before it that insists on root or the user ``rabbitmq`` and on the system's folders: that
    one is passed by.

    Raises:
        ServerMissing: there is none; the message says how to get one.
    """
    found = find_binary("rabbitmq-server", folders=["/usr/lib/rabbitmq/bin"])
    candidates = [found] if found else []
    candidates += [DEBIAN]
    for candidate in candidates:
        real = Path(os.path.realpath(candidate))
        # Debian's is a link to rabbitmq-script-wrapper; the real one reads rabbitmq-env, which lies beside it.
        if real.name == "rabbitmq-server" and (real.parent / "rabbitmq-env").exists():
            return str(real)
    raise ServerMissing(
        "no RabbitMQ: rabbitmq-server is not on PATH. Get it with: apt-get install rabbitmq-server (macOS: brew "
        "install rabbitmq), or name a running one with --backchannel-rabbitmq-url=amqp://…"
    )


class RabbitMQServer(Process):
    """A RabbitMQ node of this test run: own ports, name, cookie, data; bound to loopback; no plugins.

    Durable queues and persistent messages survive a ``restart()``, as they do in production.

    Attributes:
        port: where it listens for AMQP; the same after a restart.
        declarations: what is declared there during a test.
    """

    def __init__(self) -> None:
        self._binary = rabbitmq_binary()
        epmd = find_binary("epmd")
        if epmd is None:
            raise ServerMissing(
                "no epmd on PATH, which RabbitMQ needs: it comes with Erlang (apt-get install erlang-base)"
            )
        super().__init__("rabbitmq")
        self.port, self._epmd_port, self._distribution_port = _three_ports()
        self._epmd = _Epmd(epmd, self._epmd_port, self.folder / "epmd")
        self._write_configuration()
        self.declarations = Declarations(self.folder / "declared.jsonl", f"{LOOPBACK}:{self.port}", "/")
        self.declarations.watch()

    def _write_configuration(self) -> None:
        for name in ("home", "data", "log", "generated", "schema"):
            (self.folder / name).mkdir()
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = {LOOPBACK}:{self.port}\n"
            "log.console = true\nlog.console.level = warning\nlog.console.formatter = plaintext\nlog.file = false\n"
            # A test machine with a nearly full disk must not block publishers.
            "disk_free_limit.absolute = 1MB\n"
        )
        self._link_libraries()

    def _link_libraries(self) -> None:
        # Erlang searches every folder on its code path for every module that it loads: with the fifty plugins that
        # nobody enables left out, the node starts a quarter faster (5.0 s against 6.7 s, RabbitMQ 3.10, two cores).
        plugins = Path(self._binary).parent.parent / "plugins"
        self._libraries: Path | None = None
        if not plugins.is_dir():  # another layout than RabbitMQ's own packages have
            return
        self._libraries = libraries = self.folder / "libraries"
        libraries.mkdir()
        for entry in plugins.iterdir():
            if not entry.name.startswith("rabbitmq_") or entry.name.startswith("rabbitmq_prelaunch"):
                (libraries / entry.name).symlink_to(entry)

    @property
    def url(self) -> str:
        """The address, such as ``amqp://guest:guest@127.0.0.1:23456//``."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        found = {
            "HOME": str(folder / "home"),  # Erlang's cookie
            "RABBITMQ_NODENAME": f"backchannel{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),  # not the system's
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_CRASH_DUMP_SECONDS": "0",
            "LC_ALL": "C.UTF-8",
        }
        if self._libraries is not None:
            found["RABBITMQ_PLUGINS_DIR"] = str(self._libraries)
        return found

    def start(self) -> None:
        """Start the node and wait until it takes AMQP connections (about 5 s); a no-op where it runs.

        Raises:
            ServerFailed: it did not start; the message has the end of its log.
        """
        if self.running:
            return
        self._epmd.start()
        self.launch(
            [self._binary],
            ready=lambda: _speaks_amqp(self.port),
            environment=self._environment(),
            timeout=START_TIMEOUT,
        )

    def stop(self) -> None:
        """Stop the node as an operator does (SIGTERM): durable queues and persistent messages are kept."""
        self.terminate(timeout=STOP_TIMEOUT)

    def restart(self) -> None:
        """Stop and start; same port, same data."""
        self.stop()
        self.start()

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run RabbitMQ's own command on this node (about 1.5 s), such as ``rabbitmqctl("add_vhost", "shop")``.

        Args:
            arguments: the command and what follows it.

        Returns:
            What it prints.

        Raises:
            ServerFailed: ``rabbitmqctl``, which lies beside the server, could not do it, or not within 60 seconds.
        """
        environment = {**os.environ, **self._environment()}
        try:
            done = subprocess.run(
                [
                    str(Path(self._binary).with_name("rabbitmqctl")),
                    *("--quiet", "-n", environment["RABBITMQ_NODENAME"], *arguments),
                ],
                env=environment,
                capture_output=True,
                text=True,
                timeout=CONTROL_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ServerFailed(f"rabbitmqctl {arguments[0]} has not ended after {CONTROL_TIMEOUT:g} s") from error
        if done.returncode:
            raise ServerFailed(f"rabbitmqctl {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def cut_connections(self) -> None:
        """Close every client's connection, as a network fault does (about 1.5 s); the node runs on.

        Raises:
            ServerFailed: ``rabbitmqctl`` could not do it.
        """
        self.rabbitmqctl("close_all_connections", "cut by the test")

    def clear(self) -> None:
        """Delete the queues and exchanges that this process and its workers have declared, with all messages."""
        self.declarations.delete(self.url)

    def close(self) -> None:
        """End the node, its epmd, and remove its folder."""
        self.declarations.unwatch()
        # Its data go with it: no reason to wait for an orderly end.
        self.kill()
        self._epmd.close()
        super().close()


class _Epmd(Process):
    """Erlang's port mapper in the foreground: started by RabbitMQ itself, it would stay behind as a daemon."""

    def __init__(self, binary: str, port: int, folder: Path) -> None:
        super().__init__("epmd", folder)
        self._binary = binary
        self._port = port

    def start(self) -> None:
        if not self.running:
            self.launch(
                [self._binary, "-port", str(self._port), "-address", LOOPBACK],
                ready=lambda: listens(self._port),
                timeout=10.0,
            )


def start_rabbitmq() -> RabbitMQServer:
    """A started private node.

    Raises:
        ServerMissing: no binary.
        ServerFailed: it did not start.
    """
    return start_on_free_ports(RabbitMQServer, RabbitMQServer.start)


def _three_ports() -> tuple[int, int, int]:
    found: set[int] = set()
    while len(found) < 3:
        found.add(free_port())
    first, second, third = found
    return first, second, third


def _speaks_amqp(port: int) -> bool:
    # The port is open a little before the node serves: an AMQP header must be answered by Connection.Start, which is
    # a method frame (type 1).
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2.0) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
