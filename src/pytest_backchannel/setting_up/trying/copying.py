"""A copy of the project to try tests in: its code and what that reads, without environments, data and history."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ...source.files import SKIPPED

_BYTES = 5_000_000
"""A larger file is data."""
_DATA = (".sqlite3", ".sqlite", ".db", ".pyc", ".log", ".sql", ".dump")
_FOLDERS = SKIPPED | {"media", "staticfiles", "htmlcov"}


def copy_project(root: Path, target: Path) -> None:
    """Copy it.

    Args:
        root: the folder of ``manage.py``.
        target: the folder to make.
    """

    def unwanted(folder: str, names: Iterable[str]) -> set[str]:
        return {name for name in names if _is_unwanted(Path(folder) / name)}

    shutil.copytree(root, target, ignore=unwanted, symlinks=False, ignore_dangling_symlinks=True)


def _is_unwanted(path: Path) -> bool:
    if path.is_dir():
        return path.name.startswith(".") or path.name in _FOLDERS or (path / "pyvenv.cfg").exists()
    # A socket or a pipe would be waited for.
    return not path.is_file() or path.suffix in _DATA or path.stat().st_size > _BYTES
