"""Starts the child process of an inventory when it is first needed: once a run, whichever of its processes asks."""

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
from pathlib import Path
from typing import Any

from ..errors import InventoryFailed
from .celery_inventory import CeleryInventory

TIME_LIMIT = 60.0
"""How long a child process may take, in seconds."""


def celery_inventory_of(
    settings: str, *, app: str = "", configured: str = "", folder: Path | None = None, time_limit: float = TIME_LIMIT
) -> CeleryInventory:
    """What ``celery -A`` would have, under the settings of production.

    Args:
        settings: the settings module of production.
        app: where the app is, as ``package.module:attribute``; empty lets the child process find it.
        configured: what the ini option ``backchannel_celery_app`` says.
        folder: a folder that all processes of the run share, in which the answer is kept; None asks anew.
        time_limit: how long it may take, in seconds.

    Raises:
        InventoryFailed: it can't be made; the message is one line.

    Example:
        >>> sorted(celery_inventory_of("config.settings.production").queues)  # doctest: +SKIP
        ['celery', 'mail']
    """
    answer = _answer("celery", settings, [settings, app, configured], folder, time_limit)
    return CeleryInventory.from_data(answer)


def _answer(
    kind: str, settings: str, arguments: Sequence[Any], folder: Path | None, time_limit: float
) -> Mapping[str, Any]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="backchannel-") as own:
            return _answer(kind, settings, arguments, Path(own), time_limit)
    target = folder / f"backchannel-inventory-{kind}.json"
    with _lock(folder / f"backchannel-inventory-{kind}.lock"):
        if not target.exists():
            _run(kind, settings, arguments, target, time_limit)
        answer = json.loads(target.read_text(encoding="utf-8"))
    if "failed" in answer:
        raise InventoryFailed(f"what a worker knows under {settings} is not known: {answer['failed']}")
    found: Mapping[str, Any] = answer["found"]
    return found


@contextlib.contextmanager
def _lock(path: Path) -> Generator[None]:
    """One process at a time; the system lets go of it with the process that holds it, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: each process asks for itself
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(kind: str, settings: str, arguments: Sequence[Any], target: Path, time_limit: float) -> None:
    """Run the child process; what it says, or why it says nothing, is in the file afterwards."""
    if os.name != "posix":
        _write_failure(target, "it needs process groups, which this system has not")
        return
    # The child ends when our end of the first pipe has gone, also when this process is killed; it says by the second
    # that it has written. Not by wait(timeout=…): that sleeps, and a virtual clock may be in place.
    watched, ours = os.pipe()
    told, tells = os.pipe()
    command = [sys.executable, "-m", f"{__package__}.child.main", kind, str(target), f"{watched},{tells}"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, json.dumps(list(arguments))],
            env=_environment(os.environ, settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=(watched, tells),
            start_new_session=True,
        )
        os.close(watched)
        os.close(tells)
        in_time = False
        try:
            in_time = _is_told(told, time_limit)
        finally:
            # Whatever the project has started is of its group, and goes with it: it was not waited for yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(ours)
            os.close(told)
        if not in_time:
            _write_failure(
                target, f"its process has not ended within {time_limit:g} s: something that it imports waits"
            )
        elif not target.exists():
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["it has written nothing"]
            _write_failure(target, f"its process has ended early: {last[0]}")


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
