"""What a shadow must not touch: sockets, files, other processes. An audit hook of Python's sees each, whoever calls."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from typing import Any

from ....active import Slot
from . import told_parent
from .left_files import note_made

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_PROCESSES = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill"}
)
_SOCKETS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# What changes a file by its name; what comes of shutil.move() and os.replace() is among them.
_FILES = frozenset(
    {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
     "os.utime", "shutil.rmtree"}
)  # fmt: skip
# Where their arguments have the descriptor of the folder in which the name is; -1 for none.
_FOLDERS = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.chmod": 2, "os.chown": 3, "os.utime": 3, "os.rename": 2}
# Whose second argument is what they make.
_MAKES_SECOND = {"os.rename": 3, "os.link": 3, "os.symlink": 2}


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

    def has_made(self, name: str) -> bool:
        """Whether a file is this shadow's own, or is in a folder of its own."""
        return name in self.made or any(name.startswith(made + os.sep) for made in self.made)

    def may_make(self, name: str) -> bool:
        """Whether a file may be made, or made anew."""
        return self.has_made(name) or (name.startswith(self.folder) and not os.path.lexists(name))

    def make(self, name: str) -> None:
        """It is this shadow's own from now on; the parent removes it."""
        if name not in self.made:
            self.made.add(name)
            note_made(name)


_guard: Slot[_Guard] = Slot("what a shadow may touch")


def keep_inside() -> None:
    """Watch from now on; nothing is refused until :func:`arm`."""
    _guard.value = _Guard()
    sys.addaudithook(_hook)


def arm(armed: bool) -> None:
    """Refuse what reaches outside, or let the audit itself do its work."""
    if _guard.value is not None:
        _guard.value.armed = armed


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
    if guard.may_make(name):
        guard.make(name)
    elif name.endswith(".pyc") or f"{os.sep}__pycache__{os.sep}" in name:
        raise PermissionError("a shadow compiles in memory alone")  # which the import system takes
    else:
        told_parent.refuse(f"it writes a file ({os.path.basename(name)})")


def _changes(guard: _Guard, event: str, args: tuple[Any, ...]) -> None:
    if isinstance(args[0], int):
        return  # by a descriptor, of a file of its own
    name = _path(args[0], args, _FOLDERS.get(event))
    second = _path(args[1], args, _MAKES_SECOND[event]) if event in _MAKES_SECOND else ""
    if name is None or second is None:
        if guard.made:
            return  # below a descriptor that nobody tells, as shutil.rmtree() goes down a folder of its own
        told_parent.refuse(f"it changes a file ({event} {os.path.basename(os.fsdecode(args[0]))})")
    if event == "os.mkdir" and os.path.lexists(name):
        return  # it fails, or the body takes what is there
    made = name if event == "os.mkdir" else second
    changed = "" if event in ("os.mkdir", "os.link", "os.symlink") else name
    for one, is_allowed in ((changed, guard.has_made), (made, guard.may_make)):
        if one and not is_allowed(one) and not _is_byte_code(one):
            told_parent.refuse(f"it changes a file ({event} {os.path.basename(one)})")
    if made and not _is_byte_code(made):
        guard.make(made)


def _is_byte_code(name: str) -> bool:
    return name.endswith(".pyc") or f"{os.sep}__pycache__" in name


def _path(given: Any, args: tuple[Any, ...], folder: int | None) -> str | None:
    """The whole path of a file: its folder is really that, and its own name may be that of a link.

    None where its folder is a descriptor of which the system does not tell the name.
    """
    name = os.fsdecode(given)
    descriptor = args[folder] if folder is not None and folder < len(args) else -1
    if isinstance(descriptor, int) and descriptor >= 0 and not os.path.isabs(name):
        try:
            name = os.path.join(os.readlink(f"/proc/self/fd/{descriptor}"), name)
        except OSError:
            return None
    parent, own = os.path.split(os.path.abspath(name))
    return os.path.join(os.path.realpath(parent), own)
