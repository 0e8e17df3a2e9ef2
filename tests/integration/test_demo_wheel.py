"""``backchannel demo`` from the built wheel: the copy is complete, clean, and its suite passes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pytest_backchannel.commands import demo

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

HIDE_THE_REST = """
import re
import sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from packaging.requirements import Requirement

def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def add(requirement, extras=frozenset()):
    wanted = Requirement(requirement)
    if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
        return
    key = normal(wanted.name), frozenset(wanted.extras)
    if key not in named:
        named.add(key)
        try:
            needs = distribution(wanted.name).requires or []
        except PackageNotFoundError:
            return
        for need in needs:
            add(need, wanted.extras)

named = set()
for line in open(REQUIREMENTS):
    if line.strip() and not line.startswith("#"):
        add(line.strip())
allowed = {name for name, _ in named}
hidden = {module for module, names in packages_distributions().items() if not {normal(n) for n in names} & allowed}
hidden -= {"_distutils_hack", "pkg_resources", "setuptools", "pip"}

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel, unpacked where it is found before the editable installation; gives the environment for that."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
    return {**environment, "PYTHONPATH": str(folder)}


@pytest.fixture
def only_what_it_names(installed, tmp_path):
    """The environment of someone who has installed what the example's requirements.txt names, and nothing else.

    channels.testing imports daphne, say, which Channels does not bring: here it is always installed.
    """
    folder = tmp_path / "hide"
    folder.mkdir()
    requirements = str(ROOT / "example" / "requirements.txt")
    folder.joinpath("sitecustomize.py").write_text(HIDE_THE_REST.replace("REQUIREMENTS", repr(requirements)))
    return {
        **installed,
        "PYTHONPATH": os.pathsep.join([str(folder), installed["PYTHONPATH"]]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins that are hidden could not be loaded
        "PYTEST_PLUGINS": "pytest_backchannel.plugin,pytest_django.plugin,pytest_asyncio.plugin",
    }


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


def test_what_the_example_needs_is_named_everywhere_alike():
    listed = (ROOT / "example" / "requirements.txt").read_text()
    names = {line for line in listed.splitlines() if line and not line.startswith("#")}
    assert set(demo.NEEDED.values()) == names
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    (command,) = [line for line in tutorial.splitlines() if line.startswith("pip install ")]
    assert {word.strip('"') for word in command.split()[2:]} == names


def test_the_demo_runs_green_and_runs_again(installed, only_what_it_names, tmp_path):
    # Without a warning, too: the demo is what a project copies its settings from.
    arguments = ("-m", "not celery_integration", "-q", "-W", "error")
    done = backchannel(only_what_it_names, tmp_path, "demo", "--", *arguments)
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
