"""What an earlier run has found, by the content of the files, in a folder of the project's.

One JSON file for each tree and each version of the rules. It is replaced as a whole, so two runs at once can't break
it: the later one's stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from .diagnostic import Diagnostic

FOLDER = ".backchannel_cache"
_GITIGNORE = "# Made by `backchannel check`; it may be removed at any time.\n*\n"


class Remembered:
    """The memory of one tree.

    Args:
        folder: where to keep it; None remembers nothing.
        root: the tree.
    """

    def __init__(self, folder: Path | None, root: Path) -> None:
        name = hashlib.sha256(f"{root.resolve()}\n{_version()}".encode()).hexdigest()[:24]
        self._file = folder / f"{name}.json" if folder is not None else None
        self._old = _read(self._file)
        self._new: dict[str, Any] = {}

    def get(self, key: str, content: str) -> list[Diagnostic] | None:
        """What was found for this content, or None where it is not known."""
        entry = self._old.get(key)
        try:
            if entry is None or entry[0] != content:
                return None
            return [Diagnostic(**one) for one in entry[1]]
        except (TypeError, LookupError, AttributeError):
            return None

    def put(self, key: str, content: str, found: list[Diagnostic]) -> None:
        """Remember what was found."""
        self._new[key] = [content, [one.as_json() for one in found]]

    def save(self) -> None:
        """Keep what was put. A folder that can't be written makes the next run slower, and is no error."""
        if self._file is None or self._new == self._old:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            (self._file.parent / ".gitignore").write_text(_GITIGNORE, encoding="utf-8")
            with NamedTemporaryFile("w", dir=self._file.parent, suffix=".tmp", delete=False, encoding="utf-8") as new:
                json.dump(self._new, new)
            os.replace(new.name, self._file)
        except OSError:
            return


def _read(file: Path | None) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8")) if file is not None else {}
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


@cache
def _version() -> str:
    """The text of the rules and of what reads the code for them, and the Python that parses it."""
    own = Path(__file__).parent
    folders = (own, own.parent / "source")
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    together = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in files:
        together.update(path.read_bytes())
    return together.hexdigest()


def digest_of(parts: Mapping[str, str]) -> str:
    """One digest of all that a tree's rules look at."""
    return hashlib.sha256(json.dumps(sorted(parts.items())).encode()).hexdigest()
