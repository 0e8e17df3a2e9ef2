#!/usr/bin/env python
"""Run the site for real on this machine: Redis, an ASGI server, a Celery worker and beat.

    python run_site.py [--port PORT] [--data FOLDER]

Ctrl-C stops all of it; if this process is killed, the others end too. Needs no running service: Redis comes from PATH
or from the wheel that pytest-backchannel[servers] brings. Users, invoices, PDFs and mail are kept in FOLDER.
"""

import argparse
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.servers.brokers.redis import start_redis
from pytest_backchannel.servers.process import Process, ServerFailed, free_port, listens

PROJECT = Path(__file__).resolve().parent
PORT = 8000
START_TIMEOUT = 30.0  # seconds


class Stopped(Exception):
    """Someone asked the site to stop."""


def choose_port(wanted: int | None) -> int:
    """The port that was asked for, or 8000, or a free one where that is taken."""
    if wanted is None:
        return free_port() if listens(PORT) else PORT
    if wanted and listens(wanted):
        raise BackchannelError(f"port {wanted} is taken: choose another one, or leave --port out and get a free one")
    return wanted or free_port()


def port_number(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: choose one from 1 to 65535, or 0 for a free one")
    return int(text)


def lock(data: Path):
    """Two sites in one folder would spoil each other's database."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = open(data / "lock", "w")  # noqa: SIM115  # open as long as the site runs
    except OSError as error:
        raise BackchannelError(f"can't keep data in {data} ({error.strerror}): choose another --data FOLDER") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise BackchannelError(f"a site runs in {data} already: stop it, or give this one --data FOLDER") from None
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
        if done.returncode:
            raise ServerFailed(f"manage.py {' '.join(command)} failed:\n{done.stderr or done.stdout}")


def start(processes: list[Process], data: Path, port: int) -> None:
    """Start all processes, each into `processes` as soon as it exists."""
    redis = start_redis()
    processes.append(redis)
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings.site",
        "PYTHONPATH": str(PROJECT),
        "REDIS_URL": redis.url.removesuffix("/0"),
        "SITE_DATA": str(data),
    }
    keep_secret_key(data)
    prepare(environment)

    def run(name: str, ready, *command: str) -> None:
        process = Process(name, data / "log")
        process.log_file.write_text("")
        processes.append(process)
        process.launch(
            [sys.executable, "-m", *command],
            ready=lambda: ready(process),
            environment=environment,
            timeout=START_TIMEOUT,
        )

    celery = ("celery", "--app", "config")
    worker = ("worker", "--queues", "celery,mail", "--concurrency", "2", "--loglevel", "info", "--hostname", "site@%h")
    run("worker", lambda process: "ready." in process.log, *celery, *worker)
    schedule = str(data / "beat-schedule")
    run("beat", lambda process: "beat: Starting" in process.log, *celery, "beat", "--schedule", schedule, "-l", "info")
    run(
        "web",
        lambda process: listens(port, timeout=0.1),
        *("uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port), "--lifespan", "off"),
    )
    (data / "site.json").write_text(
        json.dumps(
            {
                "url": f"http://127.0.0.1:{port}/",
                "environment": environment,
                "processes": {process.name: process.pid for process in processes},
            },
            indent=1,
        )
    )


def watch(processes: list[Process]) -> None:
    """Wait until one of them ends, which none should."""
    while True:
        for process in processes:
            if not process.running:
                raise ServerFailed(f"{process.name} has ended; the last lines of its log:\n{process.recent_log(15)}")
        time.sleep(0.5)


def stop(signum, frame):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of them running
    raise Stopped


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--port", type=port_number, help=f"where to listen (default: {PORT}, or a free one where it is taken)"
    )
    parser.add_argument("--data", type=Path, default=PROJECT / ".site", help="where to keep the data (default: .site)")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)

    data = options.data.resolve()
    processes: list[Process] = []
    try:
        port = choose_port(options.port)
        with lock(data):
            print("Starting Redis, a worker, beat and the web server ...", flush=True)
            start(processes, data, port)
            print(
                f"\n  The site runs at  http://127.0.0.1:{port}/"
                "\n  Sign in as        ada or grace, password demo"
                f"\n  Mail it sends     {data / 'mail'}"
                f"\n  Logs              {data / 'log'}"
                "\n\nCtrl-C stops it.",
                flush=True,
            )
            watch(processes)
    except Stopped:
        print("\nStopping ...", flush=True)
        return 0
    except BackchannelError as error:
        print(f"run_site.py: {error}", file=sys.stderr)
        return 1
    finally:
        for process in reversed(processes):
            process.close()
        (data / "site.json").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
