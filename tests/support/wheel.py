"""The wheel, built once in a run: each build costs seconds, and all tests of it are about the same one."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, built from this tree; all processes of pytest-xdist share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # each process has its own folder in that of the run
    folder /= "wheel"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Complete, since whoever builds holds the lock; one that was broken off has left no file of this name.
        found = sorted(folder.glob("*.whl"))
        return found[0] if found else build(folder)


def build(folder: Path) -> Path:
    """Build the wheel into a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the wheel can't be built:\n{done.stdout}{done.stderr}")
    (built,) = folder.glob("*.whl")
    return built
