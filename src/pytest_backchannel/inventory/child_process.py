"""Starts the child processes of an inventory: each once a run, whichever of its processes asks, or ahead of that."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import InventoryFailed
from .asgi_inventory import AsgiInventory
from .celery_inventory import CeleryInventory

TIME_LIMIT = 120.0
"""How long a child process may take, in seconds."""


def celery_inventory_of(
    settings: str,
    *,
    app: str = "",
    configured: str = "",
    tests_settings: str = "",
    folder: Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> CeleryInventory:
    """What ``celery -A`` would have, under the settings of production.

    Args:
        settings: the settings module of production.
        app: where the app is, as ``package.module:attribute``; empty lets the child process find it.
        configured: what the ini option ``backchannel_celery_app`` says.
        tests_settings: the settings module of the tests, beside which the app is looked for where it is not beside
            production's.
        folder: a folder that all processes of the run share, in which the answer is kept; None asks anew.
        time_limit: how long it may take, in seconds.

    Raises:
        InventoryFailed: it can't be made; the message is one line.

    Example:
        >>> sorted(celery_inventory_of("config.settings.production").queues)  # doctest: +SKIP
        ['celery', 'mail']
    """
    arguments = [settings, app, configured, tests_settings]
    return CeleryInventory.from_data(_answer("celery", settings, arguments, folder, time_limit))


def asgi_inventory_of(
    settings: str,
    *,
    configured: str = "",
    tests_settings: str = "",
    folder: Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> AsgiInventory:
    """What a web process would have, under the settings of production: the ASGI application is imported alone.

    Args: those of :func:`celery_inventory_of`.

    Raises:
        InventoryFailed: the settings can't be read; the message is one line. An application that can't be imported is
            an answer.
    """
    arguments = [settings, configured, tests_settings]
    return AsgiInventory.from_data(_answer("asgi", settings, arguments, folder, time_limit))


class Ahead:
    """The child processes, begun before anybody has asked: they work beside the tests.

    Whoever asks meanwhile waits for the answer. Where a process is of no use (the system has no file locks, somebody
    else of the run was faster), it is not begun.

    Args:
        settings: the settings module of production.
        configured: what the ini option ``backchannel_celery_app`` says.
        tests_settings: the settings module of the tests.
        folder: the folder that all processes of the run share.
        kinds: which of them: ``celery`` and ``asgi``.
    """

    def __init__(
        self, settings: str, *, configured: str, tests_settings: str, folder: Path, kinds: Sequence[str]
    ) -> None:
        self._processes: list[_Process] = []
        arguments = {
            "celery": [settings, "", configured, tests_settings],
            "asgi": [settings, configured, tests_settings],
        }
        for kind in kinds:
            lock = _take(folder / f"backchannel-inventory-{kind}.lock") if os.name == "posix" else None
            if lock is None:
                continue
            # The process holds the lock from here on: it is a copy of the same open file.
            with lock:
                target = folder / f"backchannel-inventory-{kind}.json"
                if not target.exists():
                    self._processes.append(_start(kind, settings, arguments[kind], target, lock=lock.fileno()))

    def end(self) -> None:
        """End the processes, whatever they do, and all that they have started."""
        while self._processes:
            self._processes.pop().end()


def _answer(
    kind: str, settings: str, arguments: Sequence[Any], folder: Path | None, time_limit: float
) -> Mapping[str, Any]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="backchannel-") as own:
            return _answer(kind, settings, arguments, Path(own), time_limit)
    target = folder / f"backchannel-inventory-{kind}.json"
    with _lock(folder / f"backchannel-inventory-{kind}.lock", time_limit):
        if not target.exists():
            _run(kind, settings, arguments, target, time_limit)
        answer = json.loads(target.read_text(encoding="utf-8"))
    if "failed" in answer:
        what = "what a worker knows" if kind == "celery" else "what a web process has"
        raise InventoryFailed(
            f"{what} under {settings} is not known: {' '.join(answer['failed'].split())}",
            why=answer.get("why", ""),
            traceback=tuple(answer.get("traceback", ())),
            environment=answer.get("environment", True),
        )
    found: Mapping[str, Any] = answer["found"]
    return found


def _take(path: Path) -> IO[bytes] | None:
    """Lock a file, and keep it open; None where another process holds it, or there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows: each process asks for itself
        return None
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def _lock(path: Path, time_limit: float) -> Generator[None]:
    """One process at a time; the system lets go of it with the process that holds it, however that ends.

    The wait has an end: a process that the project has forked may hold the lock, too. It is counted in turns of
    ``select``, since ``time`` may be that of a virtual clock.
    """
    file = None
    if os.name == "posix":
        for _ in range(int(2 * time_limit / _TURN) + 1):
            file = _take(path)
            if file is not None:
                break
            select.select([], [], [], _TURN)
    try:
        yield
    finally:
        if file is not None:
            file.close()


_TURN = 0.02


@dataclass(frozen=True)
class _Process:
    """A child process, and the pipes between.

    It ends when our end of the first pipe has gone, also when this process is killed; it says by the second that it has
    written. Not by wait(timeout=…): that sleeps, and a virtual clock may be in place.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    ours: int
    told: int

    def last_words(self) -> str:
        """The last line that it has written to its standard error."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it has written nothing"

    def end(self) -> None:
        """End it, and whatever the project has started: that is of its group, for it was not waited for yet."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.ours)
        os.close(self.told)
        self.errors.close()


def _start(kind: str, settings: str, arguments: Sequence[Any], target: Path, *, lock: int | None = None) -> _Process:
    """Start a child process; with a lock, it holds that, and minds its time by itself."""
    watched, ours = os.pipe()
    told, tells = os.pipe()
    command = [sys.executable, "-m", f"{__package__}.child.main", kind, str(target), f"{watched},{tells}"]
    errors = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
    process = subprocess.Popen(
        [*command, json.dumps(list(arguments)), str(0 if lock is None else TIME_LIMIT)],
        env=_environment(os.environ, settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=(watched, tells) if lock is None else (watched, tells, lock),
        start_new_session=True,
    )
    os.close(watched)
    os.close(tells)
    return _Process(process, errors, ours, told)


def _run(kind: str, settings: str, arguments: Sequence[Any], target: Path, time_limit: float) -> None:
    """Run the child process; what it says, or why it says nothing, is in the file afterwards."""
    if os.name != "posix":
        _write_failure(target, "it needs process groups, which this system has not")
        return
    child = _start(kind, settings, arguments, target)
    try:
        in_time = _is_told(child.told, time_limit)
        if not in_time:
            _write_failure(
                target, f"its process has not ended within {time_limit:g} s: something that it imports waits"
            )
        elif not target.exists():
            _write_failure(target, f"its process has ended early: {child.last_words()}")
    finally:
        child.end()


def _is_told(told: int, time_limit: float) -> bool:
    """Wait for a word or for the end of the child; whether one of them came in time."""
    poll = select.poll()
    poll.register(told, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(time_limit * 1000))


def _write_failure(target: Path, why: str) -> None:
    target.write_text(json.dumps({"failed": why}), encoding="utf-8")


def _environment(environment: Mapping[str, str], settings: str) -> dict[str, str]:
    """That of the test run, without what only a test run has; the child finds modules as this process does."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    return {**kept, "DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": os.pathsep.join(sys.path)}
