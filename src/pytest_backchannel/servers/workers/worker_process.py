"""Celery's own worker, as a process, for the project's own app, on the database of the running test."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import BackchannelError, InMemoryDatabase, ServerFailed
from ..brokers.declarations import Declarations
from ..process import ProcessGroup
from .setup_hook import Setup, setup_path
from .template import Template
from .worker_conf import check_conf

READY_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
POOLS = ("prefork", "solo", "threads", "gevent", "eventlet")

_numbers = itertools.count(1)


class Worker(ProcessGroup):
    """One worker process; ``worker_process()`` makes it.

    Args:
        template: the process to fork.
        conf: Celery's settings for this worker, by their lower-case names.
        environment: variables beside those of the test.
        pool: ``prefork``, ``solo``, ``threads``, ``gevent`` or ``eventlet``.
        concurrency: how many tasks at once.
        queues: what it consumes; all of the project's where empty.
        arguments: further arguments of ``celery worker``.
        reports: the file for its reports and the folder of its faults (``instrument.py``).
        declarations: where it writes what it declares at RabbitMQ; None for another broker.
        setup: project code that it runs before it begins; ``package.module:function``, or the function.

    Raises:
        BackchannelError: an argument that can't be used.
    """

    def __init__(
        self,
        template: Template,
        *,
        conf: Mapping[str, Any],
        environment: Mapping[str, str],
        pool: str = "prefork",
        concurrency: int = 1,
        queues: Sequence[str] = (),
        arguments: Sequence[str] = (),
        reports: tuple[str, str] | None = None,
        declarations: Declarations | None = None,
        setup: Setup | None = None,
    ) -> None:
        __tracebackhide__ = True
        if pool not in POOLS:
            raise BackchannelError(f"worker_process(pool={pool!r}): choose one of {', '.join(map(repr, POOLS))}")
        if type(concurrency) is not int or concurrency < 1:  # neither a text nor True
            raise BackchannelError(f"worker_process(concurrency={concurrency!r}): give a whole number from 1")
        if isinstance(queues, str):
            raise BackchannelError(f"worker_process(queues={queues!r}): give a list of names, such as [{queues!r}]")
        check_conf(conf)
        number = next(_numbers)
        self._template = template
        self.node = f"worker{number}-{os.getpid()}@localhost"
        # What a single worker of one test does not need and pays a second for: the search for its neighbours.
        command = [
            *("worker", "--pool", pool, "--concurrency", str(concurrency), "--hostname", self.node),
            *("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            *(("--queues", ",".join(queues)) if queues else ()),
            *arguments,
        ]
        self.pool = pool
        self._fork: Any = None
        super().__init__(f"worker{number}", Path(template.folder) / f"worker{number}.log")
        self._request = {
            "log": str(self.log_file),
            "conf": dict(conf),
            "environment": dict(environment),
            "arguments": command,
            "reports": reports,
            "setup": "" if setup is None else setup_path(setup),
            "declarations": None if declarations is None else declarations.arguments(),
        }

    # -------------------------------------------------------------- lifetime

    def start(self, *, wait: bool = True) -> None:
        """Start it; a no-op where it runs.

        Args:
            wait: until it consumes; False returns at once, for :meth:`wait_ready` later.

        Raises:
            ServerFailed: it ended instead; the message has the end of its log.
        """
        __tracebackhide__ = True
        if self.running:
            return
        self._fork = self._template.fork(self._request)
        self._began(self._fork.pid)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Wait until it consumes (Celery's ``worker_ready`` signal).

        Args:
            timeout: in seconds.

        Raises:
            ServerFailed: it ended, or is not ready in time; the message has the end of its log.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout
        while self._fork is None or not self._fork.ready:
            if not self.running:
                code = self._fork.code if self._fork is not None else None
                raise ServerFailed(
                    f"{self.name} ended before it was ready (exit code {code}){self._tail_for_message()}"
                )
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServerFailed(f"{self.name} was not ready after {timeout:g} s{self._tail_for_message()}")
            self._template.listen(min(left, 0.1))

    @property
    def running(self) -> bool:
        """Whether the worker's main process lives (also while it is paused)."""
        if self._group is None:
            return False
        self._template.listen(0)
        if self._fork.code is not None or not self._template.running:
            self._ended()
            return False
        return True

    @property
    def exit_code(self) -> int | None:
        """How it ended: 0 after a warm shutdown, negative for a signal; None while it lives."""
        self._template.listen(0)
        return self._fork.code if self._fork is not None else None

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Warm shutdown (SIGTERM): it finishes what it has begun, gives back the rest, and ends.

        Args:
            timeout: how long it may take, in seconds; then it is killed.

        Raises:
            ServerFailed: it was still busy at the end of the time.
        """
        __tracebackhide__ = True
        if not self.running or self._group is None:
            return
        self.resume()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._group, signal.SIGTERM)
        if not self._gone(timeout):
            self.kill()
            raise ServerFailed(f"{self.name} was still busy {timeout:g} s after SIGTERM, and was killed")

    def kill(self) -> None:
        """SIGKILL to the worker and its children, as the kernel does when memory runs out: nothing is given back."""
        if not self.running or self._group is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)
        self._gone(5.0)

    def _gone(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.running:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._template.listen(min(left, 0.1))
        return True

    # -------------------------------------------------------------- children

    @property
    def children(self) -> list[int]:
        """The ids of the processes of a prefork pool; empty with any other pool."""
        import psutil

        if not self.running or self._group is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted(child.pid for child in psutil.Process(self._group).children())
        return []

    def kill_child(self, pid: int | None = None) -> int:
        """SIGKILL to one child of a prefork pool, as the kernel does to the largest one when memory runs out.

        Args:
            pid: which; needed where there are several.

        Returns:
            Its id. The worker replaces it.

        Raises:
            BackchannelError: there is no such child, or several and none is named.
        """
        __tracebackhide__ = True
        children = self.children
        if pid is None and len(children) == 1:
            pid = children[0]
        if pid is None or pid not in children:
            if not children:
                raise BackchannelError(
                    f"{self.name} has no child process: "
                    + ("it does not run" if not self.running else f"its pool is {self.pool!r}, choose 'prefork'")
                )
            raise BackchannelError(
                f"{self.name}.kill_child({'' if pid is None else pid}): name one of its children, {children}; a task "
                "finds its own with os.getpid()"
            )
        os.kill(pid, signal.SIGKILL)
        return pid

    def close(self) -> None:
        """Kill it and forget it."""
        self.kill()
        self._closed()


def database_names() -> dict[str, dict[str, Any]]:
    """What the test databases have that the settings module has not, by alias.

    Raises:
        InMemoryDatabase: one is an SQLite in memory.
    """
    from django.db import connections

    found: dict[str, dict[str, Any]] = {}
    for alias in connections:
        connection: Any = connections[alias]
        if connection.vendor == "sqlite" and connection.is_in_memory_db():
            raise InMemoryDatabase(
                f"the test database {alias!r} is an SQLite in memory: it exists in the test's own process only, and a "
                "worker process would find no tables. Put it in a file, in the settings of the tests:\n"
                f'    DATABASES["{alias}"]["TEST"] = {{"NAME": BASE_DIR / "test.sqlite3"}}'
            )
        values = connection.settings_dict
        found[alias] = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in values.items()
            if isinstance(value, (str, int, float, bool, Path, type(None)))
        }
    return found
