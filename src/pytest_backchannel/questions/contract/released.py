"""The contract of a release: a file, or the file as git has it in a revision. No code of that release is run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ...errors import UnreadableContract
from .contents import Contract
from .contract_file import from_text, read


def contract_of(against: str, file: Path) -> Contract:
    """The contract that is meant.

    Args:
        against: a file, or a revision of git, such as ``origin/main`` or a tag.
        file: where the contract is in the work tree, and was in that revision.

    Raises:
        UnreadableContract: there is no such revision, or it has no such file.
    """
    if Path(against).is_file():
        return read(against)
    return from_text(_committed(against, file), f"{file} of {against}")


def _committed(revision: str, file: Path) -> str:
    folder = file.absolute().parent
    if _git(folder, "rev-parse", "--is-inside-work-tree")[0] != 0:
        raise UnreadableContract(
            f"there is no file {revision!r}, and {folder} is in no git repository, in which it could be a revision"
        )
    # What begins with a dash would be an option of git's.
    known = (
        not revision.startswith("-") and _git(folder, "rev-parse", "--verify", "-q", f"{revision}^{{commit}}")[0] == 0
    )
    if not known:
        raise UnreadableContract(
            f"there is no file and no revision {revision!r} here; in a CI, fetch it first: "
            "'git fetch origin main', then --against origin/main"
        )
    code, out, error = _git(folder, "show", f"{revision}:./{file.name}")
    if code != 0:
        raise UnreadableContract(
            f"{revision} has no {file}: it can be compared with once its contract is committed there ({error.strip()})"
        )
    return out


def _git(folder: Path, *arguments: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        raise UnreadableContract(
            "git is not installed: give the file of that release, such as --against FILE"
            if folder.is_dir()
            else f"there is no folder {folder}"
        ) from None
    return done.returncode, done.stdout, done.stderr
