"""What is to be written, what is kept, and what has no test; shown as a diff, and written as a whole."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BackchannelError
from .trying.first_tests import Unwritten


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file to be written.

    Attributes:
        path: which one.
        before: its text now; None where it is new.
        after: its text then.
    """

    path: Path
    before: str | None
    after: str

    def diff(self, root: Path) -> Iterator[str]:
        """As ``diff -u`` shows it, line by line.

        Args:
            root: the folder from which the path is shown.
        """
        name = os.path.relpath(self.path, root).replace(os.sep, "/")
        old = "/dev/null" if self.before is None else f"a/{name}"
        before, after = (self.before or "").splitlines(), self.after.splitlines()
        yield from difflib.unified_diff(before, after, old, f"b/{name}", lineterm="")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Something that is there already, and stays as it is.

    Attributes:
        path: the file.
        lacks: what would have been written there, as lines; empty where it lacks nothing.
    """

    path: Path
    lacks: Sequence[str]


@dataclass(kw_only=True)
class Proposal:
    """All of it.

    Attributes:
        changes: the files to be written.
        kept: what is left as it is.
        unwritten: the tasks and routes for which no test is written.
        tests: the test modules among the changes.
        has_integration: whether one of them has a real worker.
        remarks: what the user should know.
        tested: how many tasks and routes had a test already.
        trouble: why nothing could be tried; empty where it could.
        checked: what ``backchannel check`` says of the project as it is, and is to leave out.
    """

    changes: list[Change] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    unwritten: list[Unwritten] = field(default_factory=list)
    tests: list[Path] = field(default_factory=list)
    has_integration: bool = False
    remarks: list[str] = field(default_factory=list)
    tested: tuple[int, int] = (0, 0)
    trouble: str = ""
    checked: Sequence[str] = ()

    def write(self) -> None:
        """Write the files; where one can't be written, or the user interrupts, all are as before.

        Raises:
            BackchannelError: one can't be written, or has changed since it was read.
        """
        folders: list[Path] = []
        done: list[Change] = []
        try:
            for change in self.changes:
                if _text_of(change.path) != change.before:
                    raise BackchannelError(f"{change.path} has changed meanwhile: run backchannel init again")
            for change in self.changes:
                folders += _make(change.path.parent)
                done.append(change)
                change.path.write_bytes(change.after.encode())
        except BaseException as error:
            for change in reversed(done):
                if change.before is None:
                    change.path.unlink(missing_ok=True)
                else:
                    change.path.write_bytes(change.before.encode())
            for folder in reversed(folders):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if isinstance(error, OSError):
                raise BackchannelError(f"nothing was written: {error}") from error
            raise


def _text_of(path: Path) -> str | None:
    return path.read_bytes().decode("utf-8") if path.exists() else None


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it; gives those that are new, the outermost first."""
    new = []
    while not folder.exists():
        new.append(folder)
        folder = folder.parent
    for one in reversed(new):
        one.mkdir()
    return new[::-1]
