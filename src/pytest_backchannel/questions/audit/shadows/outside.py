"""What a shadow must not touch: sockets, files, other processes. An audit hook of Python's sees each, whoever calls."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from typing import Any

from ....active import Slot
from . import told_parent

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_PROCESSES = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill"}
)
_SOCKETS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_FILES = frozenset(
    {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
     "shutil.rmtree", "shutil.move"}
)  # fmt: skip

# Of these the last argument is a folder's descriptor: of the others it is a length, or a path.
_BY_DESCRIPTOR = _FILES - {"os.truncate", "shutil.move"}


class _Reading(threading.local):
    """How many blocks of :class:`reading` this thread is in: what another one does meanwhile is looked at."""

    depth = 0


class _Guard:
    """What is let through: what this shadow itself has made in the folder for temporary files, and what it may read."""

    def __init__(self) -> None:
        self.armed = False
        self.made: set[str] = set()
        self.reading = _Reading()
        self.folder = os.path.realpath(tempfile.gettempdir()) + os.sep


_guard: Slot[_Guard] = Slot("what a shadow may touch")


def keep_inside() -> None:
    """Watch from now on; nothing is refused until :func:`arm`."""
    _guard.value = _Guard()
    sys.addaudithook(_hook)


def arm(armed: bool) -> None:
    """Refuse what reaches outside, or let the audit itself do its work."""
    if _guard.value is not None:
        _guard.value.armed = armed


def leaves_files() -> bool:
    """Whether something that this shadow has made is still there: another shadow, which finds it, refuses to go on."""
    return _guard.value is not None and any(map(os.path.lexists, _guard.value.made))


class reading:
    """Within the block, this thread may ask a cache outside of the process: nothing is written there."""

    def __enter__(self) -> None:
        if _guard.value is not None:
            _guard.value.reading.depth += 1

    def __exit__(self, *error: object) -> None:
        if _guard.value is not None:
            _guard.value.reading.depth -= 1


def is_reading() -> bool:
    """Whether a cache is asked now."""
    return _guard.value is not None and _guard.value.reading.depth > 0


def _hook(event: str, args: tuple[Any, ...]) -> None:
    guard = _guard.value
    if guard is None or not guard.armed:
        return
    if event == "open":
        _opens(guard, *args)
    elif event in _SOCKETS:
        if not guard.reading.depth:
            told_parent.refuse(f"it opens a connection to {_peer(args)}")
    elif event in _PROCESSES:
        told_parent.refuse(f"it starts a process ({event})")
    elif event in _FILES:
        _changes(guard, event, args)
    elif event == "sqlite3.connect":
        told_parent.refuse("it opens another connection to a database")


def _peer(args: tuple[Any, ...]) -> str:
    address = args[1] if len(args) > 1 else ""
    return str(address[0]) if isinstance(address, tuple) and address else "a socket"


def _opens(guard: _Guard, path: Any, mode: Any, flags: Any) -> None:
    if isinstance(path, int) or not isinstance(flags, int) or not flags & _WRITES or path == os.devnull:
        return
    unnamed = getattr(os, "O_TMPFILE", 0)
    if unnamed and flags & unnamed == unnamed:
        return
    name = os.path.realpath(os.fsdecode(path))
    if os.path.isdir(name):
        return  # tempfile's own way to name what it opens then
    if name in guard.made or (name.startswith(guard.folder) and not os.path.lexists(name)):
        guard.made.add(name)
    elif name.endswith(".pyc") or f"{os.sep}__pycache__{os.sep}" in name:
        raise PermissionError("a shadow compiles in memory alone")  # which the import system takes
    else:
        told_parent.refuse(f"it writes a file ({os.path.basename(name)})")


def _changes(guard: _Guard, event: str, args: tuple[Any, ...]) -> None:
    if args and isinstance(args[0], int):
        return  # by a descriptor, of a folder of its own
    name = os.path.realpath(os.fsdecode(args[0])) if args else ""
    if event == "os.mkdir" and os.path.lexists(name):
        return  # it fails, or the body takes what is there
    if event == "os.mkdir" and name.startswith(guard.folder):
        guard.made.add(name)
    elif name in guard.made or any(name.startswith(made + os.sep) for made in guard.made):
        return
    elif event in _BY_DESCRIPTOR and isinstance(args[-1], int) and args[-1] > 0 and guard.made:
        return  # below a descriptor, as shutil.rmtree() goes down a folder of its own
    elif not name.endswith(".pyc") and f"{os.sep}__pycache__" not in name:
        told_parent.refuse(f"it changes a file ({event} {os.path.basename(name)})")
