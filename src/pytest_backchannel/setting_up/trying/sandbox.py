"""Keeps the process of a trial from reaching anything real: tasks run there with values that were made up.

Audit events of CPython (docs.python.org, "Audit events table") come from C, and no library hides them. A driver that is
written in C, such as libpq, is not seen by them: so the test database is reached, as the project's own tests would.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_NETWORK = {
    "socket.connect": lambda args: f"a connection to {args[1]!r}",
    "socket.sendto": lambda args: f"a datagram to {args[1]!r}",
    "socket.sendmsg": lambda args: f"a datagram to {args[1]!r}",
    "socket.getaddrinfo": lambda args: f"the address of {args[0]!r}",
    "socket.gethostbyname": lambda args: f"the address of {args[0]!r}",
}
_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.link", "os.symlink")
_HERE = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0", "None")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class RefusedInTrial(ConnectionError):
    """Something real was about to be reached, or changed, by a task or a consumer with made up values."""


@dataclass
class Sandbox:
    """What is refused, and what was.

    Attributes:
        folder: below it files may be written, and deleted.
        armed: whether processes and files are refused, too: while code of the project runs with made up values.
        refused: what was, in order.
    """

    folder: str = ""
    armed: bool = False
    refused: list[str] = field(default_factory=list)

    def install(self, folder: str) -> None:
        """Refuse from now on, for the life of this process.

        Args:
            folder: below it files may be written.
        """
        self.folder = os.path.realpath(folder)
        sys.addaudithook(self._audit)

    @contextmanager
    def arm(self, found: list[str]) -> Generator[None]:
        """Refuse all of it for a while.

        Args:
            found: what is refused meanwhile is appended to it.
        """
        before, self.armed = len(self.refused), True
        try:
            yield
        finally:
            self.armed = False
            found += self.refused[before:]

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        what = _NETWORK.get(event)
        if what is not None:
            if not event.startswith("socket.get") or str(_text(args[0])) not in _HERE:
                self._refuse(what(args))
        elif not self.armed:
            return
        elif event in _PROCESSES:
            self._refuse(f"a process: {_text(args[0]) if args else event}")
        elif event in _CHANGES or event == "shutil.rmtree":
            self._refuse_outside(args[0], "a change of")
        elif event == "open" and _is_writing(args):
            self._refuse_outside(args[0], "the file")
        elif event == "sqlite3.connect" and str(_text(args[0])) != ":memory:" and "mode=memory" not in str(args[0]):
            self._refuse_outside(args[0], "the database")

    def _refuse_outside(self, path: Any, what: str) -> None:
        if isinstance(path, int):
            return
        real = os.path.realpath(_text(path))
        if not real.startswith((self.folder + os.sep, "/dev/")):
            self._refuse(f"{what} {real}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise RefusedInTrial(f"{what}: nothing real is reached while backchannel init tries tests")


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, bytes | str | os.PathLike) else str(value)


def _is_writing(args: tuple[Any, ...]) -> bool:
    _, mode, flags = args
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(isinstance(flags, int) and flags & _WRITES)


SANDBOX = Sandbox()
"""That of this process."""
