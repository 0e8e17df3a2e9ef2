"""No process outlives the test run: a watchdog ends what a killed run could not.

``PR_SET_PDEATHSIG`` would reach only direct children, only on Linux, and fires when the *thread* that started the child
ends (prctl(2)); a process that holds the other end of a pipe has none of these limits.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from ..active import Slot
from ..errors import BackchannelError

_lock = threading.Lock()


class Watchdog:
    """The connection to the watchdog of this process; :func:`current_watchdog` makes the one that is needed."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._process = subprocess.Popen(
            # -I and -S: no project code, no site-packages, about 15 ms.
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog_script.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise BackchannelError(
                f"the watchdog that ends servers after a killed run did not start (exit code {self._process.wait()}): "
                f"is {sys.executable} able to run a script?"
            )
        self._process.stdout.close()

    def add(self, group: int) -> None:
        """Kill this process group when the test run is gone."""
        self._send(f"add {group}")

    def drop(self, group: int) -> None:
        """This process group has ended."""
        self._send(f"drop {group}")

    def add_folder(self, path: Path) -> None:
        """Remove this folder when the test run is gone."""
        self._send(f"folder {path}")

    def forget_folder(self, path: Path) -> None:
        """This folder is removed."""
        self._send(f"forget {path}")

    def close(self) -> None:
        """End the watchdog; it cleans up what is still listed."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with _lock:
            try:
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            except OSError as error:
                raise BackchannelError(
                    f"the watchdog that ends servers after a killed run has gone (process {self._process.pid}): {error}"
                ) from error


_watchdog = Slot[Watchdog]("watchdog", of_the_run=True)


def current_watchdog() -> Watchdog:
    """The watchdog of this process; started at the first call, and again in a forked child."""
    found = _watchdog.value
    if found is None or found.pid != os.getpid():
        found = _watchdog.value = Watchdog()
    return found


def make_folder(name: str) -> Path:
    """A new temporary folder of this user alone, which goes with the test run, however that ends.

    Args:
        name: what it is for; part of its name.
    """
    folder = Path(tempfile.gettempdir()) / f"backchannel-{name}-{secrets.token_hex(8)}"
    # Before it exists: the run may be killed at any line.
    current_watchdog().add_folder(folder)
    folder.mkdir(mode=0o700)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove what :func:`make_folder` made, with everything in it."""
    shutil.rmtree(folder, ignore_errors=True)
    current_watchdog().forget_folder(folder)


def close_watchdog() -> None:
    """End the watchdog of this process, if there is one."""
    found = _watchdog.value
    if found is not None and found.pid == os.getpid():
        found.close()
    _watchdog.value = None
