"""The Python files of a project, each with the dotted name by which the project imports it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

SKIPPED = frozenset(
    {
        "__pycache__",
        "build",
        "dist",
        "env",
        "node_modules",
        "site-packages",
        "venv",
        "virtualenv",
    }
)
"""Folders that are not the project's own code. Hidden ones, and those with a ``pyvenv.cfg``, are skipped too."""

TESTS = re.compile(r"tests?|testing|testsuite|conftest\.py|test_.*\.py|.*_tests?\.py|tests\.py")
"""Names of files and folders that are the project's tests."""

_MIGRATION = re.compile(r"\d{3,}_\w+\.py|__init__\.py")
"""Below ``migrations``; what stands beside them, such as tasks that move data, is the project's code."""

_MARKS = ("manage.py", "pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class PythonFile:
    """One of them.

    Attributes:
        path: where it is.
        relative: its path within the tree, with forward slashes.
        module: its dotted name.
    """

    path: Path
    relative: str
    module: str


def holds_tests(root: Path) -> Callable[[str], bool]:
    """What says of a file whether it holds tests of a project, by its name or that of a folder.

    Args:
        root: the folder of the project.
    """
    folder = Path(os.path.realpath(root))

    @lru_cache(maxsize=4096)
    def is_test(path: str) -> bool:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(folder):
            return False
        return any(TESTS.fullmatch(part) for part in real.relative_to(folder).parts)

    return is_test


def python_files(root: Path, *, tests: bool = False) -> list[PythonFile]:
    """Every file below a folder, sorted by its path.

    Args:
        root: the folder; a single file is allowed, too.
        tests: whether to take the project's tests, too.
    """
    if root.is_file():
        return [PythonFile(root, root.name, root.stem)]
    folders = _Folders(root)
    found = sorted(_walk(root, root, folders, tests=tests), key=lambda file: file.relative)
    return list(_told_apart(found))


def _told_apart(files: list[PythonFile]) -> Iterator[PythonFile]:
    """Of two projects in one tree, each with a module of the same name, the second goes by its path."""
    taken: set[str] = set()
    for file in files:
        by_path = file.relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        yield file if file.module not in taken else replace(file, module=by_path)
        taken.add(file.module)


def _walk(root: Path, folder: Path, folders: _Folders, *, tests: bool) -> Iterator[PythonFile]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in entries}
    if "pyvenv.cfg" in names:
        return
    folders.seen(folder, names)
    for entry in entries:
        if entry.name.startswith(".") or (not tests and TESTS.fullmatch(entry.name)):
            continue
        if folder.name == "migrations" and _MIGRATION.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in SKIPPED:
                yield from _walk(root, Path(entry.path), folders, tests=tests)
        elif entry.name.endswith(".py") and entry.is_file():
            path = Path(entry.path)
            yield PythonFile(path, path.relative_to(root).as_posix(), folders.module(path))


class _Folders:
    """Which folders are packages, and from which ones the project imports."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, set[str]] = {}

    def seen(self, folder: Path, names: set[str]) -> None:
        self._names[folder] = names

    def module(self, path: Path) -> str:
        """The dotted name of a file: from the folder above its topmost package.

        Where folders without an ``__init__.py`` (namespace packages) lie above that, from the folder that has
        ``manage.py`` or is called ``src``.
        """
        start = self._import_root(path.parent)
        parts = list(path.relative_to(start).with_suffix("").parts)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        return ".".join(parts)

    def _import_root(self, folder: Path) -> Path:
        above = [folder, *(one for one in folder.parents if one in self._names)]
        packages = [one for one in above if "__init__.py" in self._names.get(one, ())]
        if not packages:
            return next((one for one in above if self._is_marked(one, _MARKS)), self._root)
        if packages[-1] == self._root:
            return self._root
        outermost = packages[-1].parent
        if self._is_marked(outermost, _MARKS):
            return outermost
        # Folders without an __init__.py may lie between it and where the project imports from: Django is started there.
        started = next((one for one in above if self._is_marked(one, ("manage.py",))), None)
        return started if started is not None and started in outermost.parents else outermost

    def _is_marked(self, folder: Path, marks: tuple[str, ...]) -> bool:
        names = self._names.get(folder, set())
        return folder.name == "src" or any(name in names for name in marks)
