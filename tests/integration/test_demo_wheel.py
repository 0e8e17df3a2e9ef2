"""``backchannel demo`` from the built wheel: the copy is complete, clean, and its suite passes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pytest_backchannel import demo

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, unpacked where it is found before the editable installation; gives the environment for that."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
    return {**environment, "PYTHONPATH": str(folder / "site")}


def backchannel(installed, cwd, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest_backchannel.cli", *arguments],
        cwd=cwd,
        env=installed,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_wheel_has_the_example_and_nothing_else(installed):
    source = ROOT / "example"
    packed = Path(installed["PYTHONPATH"]) / "pytest_backchannel" / "_example"
    files = {path.relative_to(packed) for path in packed.rglob("*") if path.is_file()}
    assert files == {path.relative_to(source) for path in demo.wanted_files(source)}


def test_the_demo_runs_green_and_runs_again(installed, tmp_path):
    done = backchannel(installed, tmp_path, "demo", "--", "-m", "not celery_integration", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "failed" not in done.stdout

    again = backchannel(installed, tmp_path, "demo", "--", "-k", "test_call_site", "-q")
    assert again.returncode == 0, again.stdout + again.stderr
    assert " deselected" in again.stdout
    assert "Kept" not in again.stdout

    failing = tmp_path / "demo" / "tests" / "test_call_site.py"
    failing.write_text(failing.read_text() + "\n\ndef test_mine():\n    assert 0\n")
    mine = backchannel(installed, tmp_path, "demo", "--", "-k", "test_mine", "-q")
    assert mine.returncode == 1
    assert "Kept as you changed them: tests/test_call_site.py" in mine.stdout
    assert "1 failed" in mine.stdout
