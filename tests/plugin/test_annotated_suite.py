"""A user's suite that is annotated with the public types passes the strict modes of mypy and pyright."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SUITE = Path(__file__).parents[1] / "support" / "annotated_suite.py"
# Strict, and nothing allowed for what Celery and Channels, which bring no types, leave unknown.
MYPY = "[mypy]\nstrict = true\npython_version = 3.11\n"
PYRIGHT = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error", "pythonVersion": "3.11"}


@pytest.fixture
def folder(tmp_path):
    """A project of its own, from which the package is seen as an installed one."""
    shutil.copy(SUITE, tmp_path / "test_suite.py")
    (tmp_path / "mypy.ini").write_text(MYPY)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
    return tmp_path


def check(checker, folder):
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    arguments = {
        "mypy": ["--cache-dir", str(folder / "cache"), "--python-executable", sys.executable],
        "pyright": ["--pythonpath", sys.executable],
    }
    done = subprocess.run(
        [sys.executable, "-m", checker, *arguments[checker], "test_suite.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_suite_passes(folder, checker):
    code, said = check(checker, folder)
    assert code == 0, said
