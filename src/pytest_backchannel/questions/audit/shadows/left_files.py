"""Files that a shadow has made in the folder for temporary files: its parent removes them, however the shadow ends.

The test's own run would find them otherwise, and so would the next shadow.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator

from ....active import Slot

# As they were before a test put something in their place.
_remove_file, _remove_folder, _is_folder = os.remove, shutil.rmtree, os.path.isdir


def unnamed_file() -> int:
    """The descriptor of a new file without a name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("backchannel")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class LeftFiles:
    """Their names, in a file without a name that the parent has, too: it is made before the fork."""

    def __init__(self) -> None:
        self._descriptor = unnamed_file()

    def note(self, name: str) -> None:
        """In the shadow: it is about to make this one."""
        os.write(self._descriptor, os.fsencode(name) + b"\0")

    def remove(self) -> None:
        """In the parent, when the shadow has ended: remove what is there of them, the last ones first."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        parts = list(iter(lambda: os.read(self._descriptor, 1 << 20), b""))
        for name in reversed(b"".join(parts).split(b"\0")[:-1]):
            with contextlib.suppress(OSError):
                (_remove_folder if _is_folder(name) and not os.path.islink(name) else _remove_file)(name)

    def close(self) -> None:
        """Forget them."""
        os.close(self._descriptor)


_left: Slot[LeftFiles] = Slot("files that a shadow has made")


@contextlib.contextmanager
def files_removed() -> Generator[None]:
    """Around a fork: what the child makes is gone afterwards."""
    left = _left.value = LeftFiles()
    try:
        yield
    finally:
        _left.value = None
        try:
            left.remove()
        finally:
            left.close()


def note_made(name: str) -> None:
    """In a shadow: it is about to make a file or a folder.

    Args:
        name: its path, absolute.
    """
    if _left.value is not None:
        _left.value.note(name)
