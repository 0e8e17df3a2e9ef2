"""One run of pytest over a copy of the example, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .edits import Change, copied

PROBE = Path(__file__).parent / "probe"
LONGEST_RUN = 180.0
# The example's pyproject.toml says how its own tests run; the two suites are older, and have a file of their own.
SUITES_INI = """[pytest]
DJANGO_SETTINGS_MODULE = config.settings.test
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = -p no:cacheprovider --tb=short --strict-markers
pythonpath = .
"""
# Packages of our own environment that bring a plugin which no project here uses.
NOT_LOADED = ["no:randomly", "no:faker", "no:valkey", "no:xdist", "no:hypothesispytest", "no:timeout", "no:anyio"]
STRICT = ["-o", "backchannel_strict=true"]
PRODUCTION = ["-o", "backchannel_production_settings=config.settings.production"]
NO_TEST_RAN = "(no test ran)"


@dataclass(frozen=True)
class Setup:
    """A way to run some suites: their folders, and arguments of pytest.

    Args:
        judges_failures_of: the set-up whose failed tests alone are run here, since what fails here fails there too.
    """

    name: str
    suites: tuple[str, ...]
    arguments: tuple[str, ...]
    has_plugin: bool = True
    judges_failures_of: str = ""


SETUPS = {
    setup.name: setup
    for setup in (
        Setup("plain", ("suite_u", "suite_a"), ("-c", "corpus.ini", "-p", "no:backchannel"), has_plugin=False),
        Setup("strict", ("suite_u", "suite_a"), ("-c", "corpus.ini", *STRICT, *PRODUCTION)),
        Setup("example strict", ("tests",), ("-m", "not celery_integration", *STRICT)),
        Setup("example", ("tests",), ("-m", "not celery_integration"), judges_failures_of="example strict"),
    )
}


@dataclass
class Run:
    """What came of it: failures (of a test, a collection or all of it), and what the plugin told without failing."""

    failures: list[dict[str, str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    reached: dict[str, list[str]] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)

    def news(self, baseline: Run) -> list[str]:
        """What is told here and not without the edit, whatever the line numbers."""
        known = {_shape(line) for line in baseline.told}
        return [text for text in self.told if _shape(text) not in known]


def _shape(text: str) -> str:
    return re.sub(r"\d+", "0", text.splitlines()[0])


class Runner:
    """Runs changes below one folder, which keeps the byte code of all libraries between them.

    Args:
        folder: where the copies are made; each is removed when it has been run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def copy(self, change: Change | None) -> Path:
        """A copy of the example with the change, of its own."""
        parent = Path(tempfile.mkdtemp(dir=self.folder))
        project = copied(change, parent / "project")
        (project / "corpus.ini").write_text(SUITES_INI)
        return project

    def run(
        self, project: Path, setup: Setup, *, only: Iterable[str] | None = None, reach: bool = False, most: int = 0
    ) -> Run:
        """Run the suites of a set-up.

        Args:
            project: the copy.
            setup: which suites, and how.
            only: the tests to run; None runs all.
            reach: note which functions each test calls.
            most: end after so many failures; 0 runs all.
        """
        result = project.parent / "result.json"
        for file in (result, result.with_suffix(".now")):
            file.unlink(missing_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environ |= {
            "PYTHONPATH": str(PROBE),
            "PYTHONPYCACHEPREFIX": str(self.folder / "byte-code"),
            "CORPUS_RESULT": str(result),
            "CORPUS_REACH": "1" if reach else "",
        }
        if only is not None:
            tests = project.parent / "only.json"
            tests.write_text(json.dumps(sorted(only)))
            environ["CORPUS_ONLY"] = str(tests)
        command = [sys.executable, "-m", "pytest", *setup.arguments, "-p", "corpus_probe", "-q", f"--maxfail={most}"]
        command += [argument for plugin in NOT_LOADED for argument in ("-p", plugin)]
        output, code = _finished([*command, *setup.suites], project, environ)
        if code is not None and code < 0:  # ended by a signal, which no edit sends: short of memory, perhaps
            output, code = _finished([*command, *setup.suites], project, environ)
        found: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
        run = Run(**found)
        if code is None:
            now = result.with_suffix(".now")
            test = now.read_text() if now.exists() else NO_TEST_RAN
            run.failures.append({"test": test, "when": "hung", "text": f"{test} did not end\n{output[-4000:]}"})
        elif code not in (0, 1) and not run.failures:
            run.failures.append({"test": NO_TEST_RAN, "when": "", "text": output[-6000:]})
        return run


def _finished(command: list[str], project: Path, environ: dict[str, str]) -> tuple[str, int | None]:
    """The output and exit code of a process; no code where it had to be ended."""
    with (project.parent / "output").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=project, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | None = process.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return output.read(), code
