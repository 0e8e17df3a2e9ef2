"""What a project says outside of its Python: which versions it pins, how it is deployed, what its CI runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from ..source.files import SKIPPED

_REQUIREMENTS = ("uv.lock", "poetry.lock", "Pipfile.lock", "requirements*.txt", "requirements/*.txt", "pdm.lock")
_DEPLOYMENT = (
    "Procfile",
    "Dockerfile*",
    "Makefile",
    "justfile",
    "*.yml",
    "*.yaml",
    "*.sh",
    "*.conf",
    "*.ini",
    "*.service",
    "*.toml",
)
_CI = (".github/workflows/*.yml", ".github/workflows/*.yaml", ".gitlab-ci.yml", ".circleci/config.yml")
_DEEPEST = 3
LARGEST = 400_000
"""Characters; of a longer file only the beginning is looked at. Lock files are read whole."""


@dataclass(frozen=True, kw_only=True)
class ProjectFiles:
    """Their texts.

    Attributes:
        requirements: the lock and requirement files, joined: those of the folder itself, or of the nearest one above.
        deployment: what starts the project's processes, joined.
        ci: what describes CI jobs, by its path relative to the folder.
    """

    requirements: str = ""
    deployment: str = ""
    ci: Mapping[str, str] = field(default_factory=dict[str, str])

    def content(self) -> str:
        """All of it, for a digest."""
        return "\0".join((self.requirements, self.deployment, repr(sorted(self.ci.items()))))


def project_files(root: Path) -> ProjectFiles:
    """Read them.

    Args:
        root: the project's folder, or a file in it.
    """
    start = root.resolve() if root.is_dir() else root.resolve().parent
    return ProjectFiles(
        requirements=_requirements(start),
        deployment="\n".join(_text(path)[:LARGEST] for path in _deployment(start, 0)),
        ci={
            path.relative_to(start).as_posix(): _text(path)[:LARGEST]
            for pattern in _CI
            for path in sorted(start.glob(pattern))
        },
    )


def _requirements(start: Path) -> str:
    for folder in (start, *start.parents[:2]):
        found = sorted({path for pattern in _REQUIREMENTS for path in folder.glob(pattern)})
        if found:
            return "\n".join(_text(path) for path in found)
    return ""


def _deployment(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in SKIPPED:
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST:
                yield from _deployment(Path(entry.path), depth + 1)
        elif any(fnmatch(entry.name, pattern) for pattern in _DEPLOYMENT):
            yield Path(entry.path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
