"""What ``backchannel check`` says of the project as it is: its rules are left out at first: what is new is told.

It is asked in a copy in which all that is proposed has been written, by a process of its own, as a user would ask.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .final_run import users_environment
from .proposal import Change
from .trying.copying import copy_project

OPTION = "backchannel_check_ignore"
_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class KnownFindings:
    """What was found.

    Attributes:
        codes: of the rules that have spoken, each once.
        lines: what they say, with the place.
        trouble: why nothing can be said; empty where something can.
    """

    codes: Sequence[str] = ()
    lines: Sequence[str] = ()
    trouble: str = ""


def known_findings(root: Path, changes: Sequence[Change]) -> KnownFindings:
    """Ask.

    Args:
        root: the project's folder.
        changes: what is proposed; what is outside of the folder is left out.
    """
    with tempfile.TemporaryDirectory(prefix="backchannel-") as folder:
        copy = Path(folder) / root.resolve().name
        copy_project(root, copy)
        workflows = root / ".github"  # a hidden folder, which no trial needs
        if workflows.is_dir():
            shutil.copytree(workflows, copy / ".github", dirs_exist_ok=True)
        for change in changes:
            if change.path.resolve().is_relative_to(root.resolve()):
                target = copy / change.path.resolve().relative_to(root.resolve())
                # What can't be written there can't be written in the project, and that is told when it is.
                with contextlib.suppress(OSError):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(change.after.encode())
        return _asked(copy)


def _asked(folder: Path) -> KnownFindings:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_backchannel.cli", "check", "--format", "json", "--no-cache"],
            cwd=folder,
            env=users_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return KnownFindings(trouble=f"backchannel check has not ended within {_SECONDS} s")
    if done.returncode not in (0, 1):
        return KnownFindings(trouble=(done.stderr.strip().splitlines() or ["backchannel check can't run"])[-1])
    found = json.loads(done.stdout)["diagnostics"]
    return KnownFindings(
        codes=sorted({one["code"] for one in found}),
        lines=[f"{one['path']}:{one['line']}: {one['code']} {one['message']}" for one in found],
    )
