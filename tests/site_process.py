"""The example's site as a process, for the tests that need it running."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

EXAMPLE = Path(__file__).parents[1] / "example"
READY = "Ctrl-C stops it."


class Site:
    """``run_site.py`` in a session of its own, as a terminal gives it one.

    Args:
        data: where the site keeps its data.
        arguments: what follows ``run_site.py``; a free port where no ``--port`` is among them.
    """

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        if not any(argument.startswith("--port") for argument in arguments):
            arguments = (*arguments, "--port", "0")
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        self.process = subprocess.Popen(
            [sys.executable, "run_site.py", "--data", str(data), *arguments],
            cwd=EXAMPLE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def wait_ready(self) -> Site:
        """Read what it prints until it says that it runs; it limits the time of each start itself."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if READY in line:
                return self
        raise AssertionError(f"the site ended with {self.process.wait()}:\n{self.output}")

    @property
    def url(self) -> str:
        found = re.search(r"http://\S+", self.output)
        assert found, self.output
        return found[0]

    def pids(self) -> dict[str, int]:
        """The processes that belong to the site, by name."""
        return json.loads((self.data / "site.json").read_text())["processes"]

    def family(self) -> list[psutil.Process]:
        """The site's processes with their children; the one that cleans up after a killed site is left out."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if not any("os.killpg" in word for word in process.cmdline()):
                    found.append(process)
        return found

    def end(self, sig: int = signal.SIGINT, timeout: float = 30) -> tuple[int, str]:
        """Send a signal and wait; returns the exit code and everything that was printed."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        rest, _ = self.process.communicate(timeout=timeout)
        self.output += rest
        return self.process.returncode, self.output

    def close(self) -> None:
        """Stop it, whatever state it is in."""
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)


def alive(processes: list[psutil.Process], within: float) -> list[str]:
    """Which of them still run after so many seconds at most."""
    _, rest = psutil.wait_procs(processes, timeout=within)
    return [
        f"{process.pid} {process.cmdline()}"
        for process in rest
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
