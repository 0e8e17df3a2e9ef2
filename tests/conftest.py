"""What the tests of the plugin share: a small Django project for pytester, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest
from support.leaked_loop import FILTERS

pytest_plugins = ["pytester", "support.wheel"]

PROJECT = Path(__file__).parent / "sample"

# Plugins that other packages bring: none of them is under test, and each costs every nested run its import.
NOT_LOADED = "-p no:randomly -p no:faker -p no:valkey"


# Set by `make test-anew`: no worker, producer or backend is used again, and all has to come out the same.
ANEW = bool(os.environ.get("BACKCHANNEL_TEST_ANEW"))


def pytest_configure(config: pytest.Config) -> None:
    if ANEW:
        from pytest_backchannel.tasks.queue import TaskQueue

        TaskQueue.__init__.__kwdefaults__["reuse"] = False
    for line in FILTERS:
        config.addinivalue_line("filterwarnings", line)


class Project:
    """A Django project in pytester's folder, whose tests run in a process of their own, as a user's do."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        for source in sorted(PROJECT.rglob("*.py")):
            target = self.path / source.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source.read_text())
        self.ini()

    def ini(self, *lines: str, settings: str = "config.settings") -> None:
        """Write pytest.ini: strict, warnings are errors, and the given lines."""
        self.write(
            "pytest.ini",
            "\n".join(
                [
                    "[pytest]",
                    f"DJANGO_SETTINGS_MODULE = {settings}",
                    "pythonpath = .",
                    "addopts = --strict-markers --strict-config -p no:cacheprovider " + NOT_LOADED,
                    "asyncio_default_fixture_loop_scope = function",
                    *(["backchannel_reuse = false"] if ANEW else []),
                    "filterwarnings =",
                    "    error",
                    *(f"    {line}" for line in FILTERS),
                    *lines,
                ]
            ),
        )

    def write(self, name: str, text: str) -> Path:
        """Write one file, dedented; its folder is made."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def settings(self, text: str) -> None:
        """Append to the project's settings."""
        path = self.path / "config" / "settings.py"
        path.write_text(path.read_text() + "\n" + dedent(text))

    def run(self, *args: str, timeout: float = 300) -> pytest.RunResult:
        """Run the project's suite in a process of its own; the time-out is for what hangs, also on a busy machine."""
        return self.pytester.runpytest_subprocess(*args, timeout=timeout)

    def test(self, text: str, *args: str) -> pytest.RunResult:
        """Write one test module and run it."""
        self.write("test_it.py", text)
        return self.run("test_it.py", *args)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A Django project with Celery tasks and Channels consumers (tests/sample), to write tests into."""
    return Project(pytester)
