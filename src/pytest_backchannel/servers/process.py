"""A server as a process of the test run: started, stopped, paused, its log kept, never left behind."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mirakuru import SimpleExecutor
from mirakuru.exceptions import ExecutorError

from ..active import tracked
from ..errors import BackchannelError, ServerFailed
from .watchdog import current_watchdog, make_folder, remove_folder

LOG_LINES = 40
LOOPBACK = "127.0.0.1"
PAUSE_TIMEOUT = 10.0  # seconds; a thread that waits for a disk stops only when that has answered

_servers: list[ProcessGroup] = tracked("servers", [], of_the_run=True)


def free_port() -> int:
    """A loopback port where nothing listens.

    Below the range that the system gives to outgoing connections (32768 and up on Linux, 49152 on macOS), so that no
    connection takes it while the server is stopped for a test.
    """
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    raise BackchannelError("found no free loopback port between 20000 and 32000 in 200 attempts")


def listens(port: int, *, timeout: float = 1.0) -> bool:
    """Whether something accepts connections at this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(timeout)
        return probe.connect_ex((LOOPBACK, port)) == 0


class ProcessGroup:
    """A process group of the test run with a log: what servers and workers have in common.

    Args:
        name: what messages call it, such as ``redis``.
        log_file: where it writes.
    """

    def __init__(self, name: str, log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self.log_file.touch()
        self._shown = 0
        self._group: int | None = None
        self.paused = False
        _servers.append(self)

    @property
    def pid(self) -> int | None:
        """The id of its first process, and of its group; None while it is stopped."""
        return self._group

    @property
    def running(self) -> bool:
        """Whether it lives (also while it is paused)."""
        return self._group is not None

    def _began(self, group: int) -> None:
        self._group = group
        current_watchdog().add(group)

    def _ended(self) -> None:
        self.paused = False
        if self._group is not None:
            current_watchdog().drop(self._group)
            self._group = None

    def _closed(self) -> None:
        if self in _servers:
            _servers.remove(self)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers.

        Returns when each of its threads stands still.

        Raises:
            BackchannelError: it does not run, or did not stand still within 10 seconds.
        """
        if self._group is None:
            raise BackchannelError(f"{self.name} is stopped: only what runs can be paused")
        os.killpg(self._group, signal.SIGSTOP)
        self.paused = True
        # To send the signal stops nothing yet: until the process has taken it, its threads on other cores go on
        # answering.
        deadline = time.monotonic() + PAUSE_TIMEOUT
        while moving := _moving_threads(self._group):
            if time.monotonic() > deadline:
                raise BackchannelError(
                    f"{self.name} was sent SIGSTOP and does not stand still after {PAUSE_TIMEOUT:g} s: {moving}"
                )
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a paused one go on (SIGCONT); nothing happens to one that runs."""
        if self.paused and self._group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGCONT)
        self.paused = False

    # ------------------------------------------------------------------ log

    @property
    def log(self) -> str:
        """Everything that it has written."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def mark_log(self) -> None:
        """What is written from now on belongs to the next test."""
        self._shown = self.log_file.stat().st_size if self.log_file.exists() else 0

    def recent_log(self, lines: int = LOG_LINES) -> str:
        """The last lines since :meth:`mark_log`."""
        if not self.log_file.exists():
            return ""
        with open(self.log_file, "rb") as file:
            file.seek(self._shown)
            text = file.read().decode(errors="replace")
        return tail(text, lines)

    def _tail_for_message(self) -> str:
        last = tail(self.log, 15)
        return ":\n" + "\n".join(f"    {line}" for line in last.splitlines()) if last else ", and wrote nothing"


def _moving_threads(group: int) -> str:
    """The threads of a process group that are not stopped, with their states; empty where all are."""
    import psutil

    still = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    found: list[str] = []
    for pid in psutil.pids():
        # What ends meanwhile stands still as well; what may not be asked is another user's.
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) != group:
                continue
            # Only Linux tells the state of each thread, by what it shows of a process.
            threads = [thread.id for thread in psutil.Process(pid).threads()] if sys.platform == "linux" else [pid]
            for thread in threads:
                with contextlib.suppress(psutil.NoSuchProcess):
                    status = psutil.Process(thread).status()
                    if status not in still:
                        found.append(f"{thread} is {status}")
    return ", ".join(found)


class Process(ProcessGroup):
    """A process that the test run starts itself, in a group of its own, with a temporary folder.

    Args:
        name: what messages call it, such as ``redis``.
        folder: where its data and log are; made where None, and removed by :meth:`close`.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self._owns_folder = folder is None
        if folder is None:
            folder = make_folder(name)
        else:
            folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._executor: SimpleExecutor | None = None
        super().__init__(name, self.folder / f"{name}.log")

    def launch(
        self,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        timeout: float,
        cwd: Path | None = None,
        pipes: bool = False,
    ) -> None:
        """Start the process and wait until ``ready()``.

        Args:
            command: program and arguments.
            ready: asked about every 20 ms.
            environment: variables beside those of the test run.
            timeout: how long it may take, in seconds.
            cwd: where it runs; its own folder where None.
            pipes: whether its standard input and output are pipes to this process; else it has no input, and its output
                goes to the log.

        Raises:
            ServerFailed: it ended, or was not ready in time.
        """
        with open(self.log_file, "ab") as log, open(os.devnull, "rb") as null:
            executor = SimpleExecutor(
                list(command),
                cwd=str(cwd or self.folder),
                timeout=timeout,
                sleep=0.02,
                envvars=dict(environment or {}),
                stdin=subprocess.PIPE if pipes else null,
                stdout=subprocess.PIPE if pipes else log,
                stderr=log,
            )
            try:
                executor.start()
            except OSError as error:
                raise ServerFailed(f"{self.name}: {command[0]} can't be run: {error}") from error
        assert executor.process is not None
        self._executor = executor
        self._began(executor.process.pid)

        def answered() -> bool:
            return not executor.running() or ready()

        try:
            executor.wait_for(answered)
        except ExecutorError as error:
            self._ended()
            raise ServerFailed(f"{self.name} was not ready after {timeout:g} s{self._tail_for_message()}") from error
        if not executor.running():
            code = executor.process.returncode
            self._ended()
            raise ServerFailed(f"{self.name} ended while it started (exit code {code}){self._tail_for_message()}")

    def terminate(self, sig: int = signal.SIGTERM, *, timeout: float = 10.0) -> None:
        """Ask the process to end, and kill it where it does not within ``timeout`` seconds."""
        executor = self._executor
        if executor is None:
            return
        self.resume()
        # --- private API: mirakuru 2.6–3.1: one time limit serves start and stop ---
        executor._timeout = timeout
        # How it ended is the server's affair; that it ended is ours.
        with contextlib.suppress(ExecutorError):
            executor.stop(sig)
        self._ended()

    def kill(self) -> None:
        """SIGKILL to the process and its children: no chance to save or to say goodbye."""
        if self._executor is not None:
            self._executor.kill()
            self._ended()

    def _ended(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            with contextlib.suppress(ExecutorError, ProcessLookupError):
                executor.kill()
        super()._ended()

    def close(self) -> None:
        """End the process and remove its folder."""
        self.terminate()
        if self._owns_folder:
            remove_folder(self.folder)
        self._closed()

    @property
    def running(self) -> bool:
        """Whether the process lives (also while it is paused)."""
        return self._executor is not None and self._executor.running()


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def tail(text: str, lines: int) -> str:
    """The last ``lines`` lines of a text, with a note of what is left out."""
    found = [line.rstrip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    left_out = len(found) - lines
    if left_out > 0:
        found = [f"… {left_out} earlier lines …", *found[-lines:]]
    return "\n".join(found)


def servers() -> list[ProcessGroup]:
    """The servers and workers of this test run that are not closed, in the order in which they were made."""
    return list(_servers)


Started = TypeVar("Started", bound=Process)


def start_on_free_ports(make: Callable[[], Started], start: Callable[[Started], None]) -> Started:
    """Make a server and start it; where another process took one of its ports meanwhile, once more with others."""
    for attempt in range(3):
        server = make()
        try:
            start(server)
        except ServerFailed as error:
            taken = "already in use" in str(error) or "eaddrinuse" in str(error)
            server.close()
            if not taken or attempt == 2:
                raise
        except BaseException:
            server.close()
            raise
        else:
            return server
    raise AssertionError("unreachable")  # pragma: no cover


def find_binary(*names: str, folders: Sequence[str] = ()) -> str | None:
    """The first of ``names`` on PATH, or in ``folders``, or in the folders where daemons are installed."""
    path = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", *folders]
    )
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    return None
