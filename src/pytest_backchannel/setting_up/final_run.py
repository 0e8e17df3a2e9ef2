"""Runs what was written, where it was written, and gives pytest's closing line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 900
_CLOSING = re.compile(r"\b(passed|failed|errors?|no tests|skipped|deselected)\b.* in [\d.]+")


def users_environment() -> dict[str, str]:
    """That of a command which a user starts there: which settings it has, is the project's to say."""
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


def final_run(root: Path, files: Sequence[Path]) -> tuple[str, str, bool]:
    """Run pytest as the user would.

    Args:
        root: the project's folder.
        files: the test modules; with none, all that pytest collects is collected, and not run.

    Returns:
        The command, pytest's closing line or what it said last, and whether all is green.
    """
    arguments = [os.path.relpath(file, root) for file in files] or ["--collect-only", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=root,
        env=users_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    lines = [line.strip("= ") for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    closing = next((line for line in reversed(lines) if _CLOSING.search(line)), lines[-1] if lines else "")
    # 5: there is no test yet, and what configures pytest could be read.
    return f"pytest {' '.join(arguments)}", closing, done.returncode in ((0,) if files else (0, 5))
