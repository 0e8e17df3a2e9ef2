"""The trial: a copy of the project with the files that are to be written, in which pytest is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from ..final_run import users_environment
from ..found_project import Project
from .cases import Cases, RouteCase
from .copying import copy_project

_SECONDS = 900
_PROBE = """\
import json
import os
from pathlib import Path

import pytest

CASES = json.loads(Path(os.environ["BACKCHANNEL_TRIAL"]).read_text(encoding="utf-8"))
PAIRS = [(case, attempt) for case in CASES["tasks"] for attempt in range(case["attempts"])]
DONE = set()


def tell(**answer):
    with open(os.environ["BACKCHANNEL_TRIAL"] + "l", "a", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\\n")


if CASES["tasks"]:

    @pytest.fixture
    def not_done(case):
        if case["name"] in DONE:
            pytest.skip("there is nothing else to try")  # before the other fixtures cost anything

    @pytest.mark.parametrize(("case", "attempt"), PAIRS)
    def test_task(not_done, request, db, task_queue, mailoutbox, case, attempt):
        from pytest_backchannel.setting_up.trying.probe.task_probe import probe_task

        layer = request.getfixturevalue("channel_layer") if CASES["channels"] else None
        seen = probe_task(case, attempt, task_queue, mailoutbox, layer)
        if seen is None or "reason" not in seen:
            DONE.add(case["name"])
        if seen is not None:
            tell(task=case["name"], seen=seen)


if CASES["auth"]:

    def test_user(db):
        from pytest_backchannel.setting_up.trying.probe.socket_probe import user_lines

        tell(user=user_lines())


if CASES["live"]:
    from pytest_backchannel.setting_up.trying.probe.socket_probe import live_routes

    CASES["routes"] = live_routes()
    tell(live=CASES["routes"])


if CASES["routes"]:
    WAYS = [(case, False) for case in CASES["routes"]] + [(case, True) for case in CASES["routes"] if CASES["auth"]]

    @pytest.mark.asyncio
    @pytest.mark.parametrize(("case", "signed_in"), WAYS)
    async def test_route(db, websocket, case, signed_in):
        from pytest_backchannel.setting_up.trying.probe.socket_probe import probe_route

        seen = await probe_route(case, websocket, signed_in=signed_in)
        tell(route=case["path"], signed_in=signed_in, seen=seen)
"""


class Answers:
    """What the probes have seen.

    Attributes:
        tasks: by the name of the task: what a test is made of, or only a ``reason``.
        routes: by the path, and whether a user was signed in.
        user: the lines that make a user, and what they import; None where there is none.
        live: the routes that only the process of the tests could find.
        trouble: why there is nothing, or not all; empty where all is well.
    """

    def __init__(self, lines: Sequence[Mapping[str, Any]], trouble: str) -> None:
        self.tasks: dict[str, Mapping[str, Any]] = {}
        self.routes: dict[tuple[str, bool], Mapping[str, Any]] = {}
        self.user: tuple[list[str], list[list[str]]] | None = None
        self.live: list[RouteCase] = []
        self.trouble = trouble
        for line in lines:
            if "task" in line:
                # The reason of the first set of values is the best one: it was made by what is known.
                if "reason" not in line["seen"] or line["task"] not in self.tasks:
                    self.tasks[line["task"]] = line["seen"]
            elif "route" in line:
                self.routes[line["route"], line["signed_in"]] = line["seen"]
            elif "live" in line:
                self.live = [RouteCase(**case) for case in line["live"]]
            else:
                self.user = line["user"]


class Trial:
    """A copy of the project; a context manager, since the copy goes at its end.

    Args:
        project: whose.
        files: what is to be written, by its path in the project.
    """

    def __init__(self, project: Project, files: Mapping[Path, str]) -> None:
        self._project = project
        self._files = files
        self._folder = tempfile.TemporaryDirectory(prefix="backchannel-init-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        base = Path(os.path.realpath(self._folder.name))
        # Above the copy stands what stands above the project: the configuration of pytest may.
        above = os.path.relpath(self._project.pytest.file.parent, self._project.root).count("..")
        self._root = base.joinpath(*["above"] * (above + 1), "project")
        (base / "tmp").mkdir()
        self._base = base
        copy_project(self._project.root, self._root)
        setup = self._project.pytest
        if setup.text is not None:
            self.write({setup.file: setup.text})
        self.write(self._files)
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def write(self, files: Mapping[Path, str]) -> None:
        """Write files into the copy.

        Args:
            files: by their paths in the project.
        """
        for path, text in files.items():
            target = self._place(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())

    def remove(self, path: Path) -> None:
        """Remove a file from the copy.

        Args:
            path: its path in the project.
        """
        self._place(path).unlink(missing_ok=True)

    def probe(self, cases: Cases, folder: Path) -> Answers:
        """Try all values and routes.

        Args:
            cases: what is to be tried.
            folder: where the tests of the project are.
        """
        asked = self._base / "cases.json"
        asked.write_text(
            json.dumps(
                {
                    "tasks": [asdict(case) for case in cases.tasks],
                    "routes": [asdict(case) for case in cases.routes] if self._project.has_asyncio else [],
                    "live": cases.live and self._project.has_asyncio,
                    "channels": self._project.asgi is not None,
                    "auth": self._project.has_auth,
                }
            ),
            encoding="utf-8",
        )
        suite = folder / "test_backchannel_probe.py"
        self.write({suite: _PROBE})
        engine = self._project.said["engine"]
        apart = ["-o", "backchannel_distinct_keys=true"] if engine in ("sqlite", "postgresql", "") else []
        outcomes, trouble = self.run(
            [suite], *apart, "-p", "no:randomly", environment={"BACKCHANNEL_TRIAL": str(asked)}
        )
        self.remove(suite)
        told = Path(f"{asked}l")
        lines = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()] if told.exists() else []
        if not trouble and not any("task" in line or "route" in line for line in lines):
            trouble = self._hint(next((text for text in outcomes.values() if text), "no test has begun"))
        return Answers(lines, trouble)

    def _hint(self, why: str) -> str:
        if self._project.said["engine"] in ("postgresql", "mysql") and "OperationalError" in why:
            return (
                f"{why}. Is there a server for tests? Name it in the environment: TEST_DB_HOST, TEST_DB_PORT, "
                "TEST_DB_USER, TEST_DB_PASSWORD"
            )
        return why

    def run(
        self, files: Sequence[Path], *arguments: str, environment: Mapping[str, str] | None = None, real: bool = False
    ) -> tuple[dict[tuple[str, str], str], str]:
        """Run pytest in the copy, with the project's own configuration.

        Args:
            files: the test modules, by their paths in the project.
            arguments: more of pytest's.
            environment: more variables.
            real: without the sandbox: a worker of its own is started.

        Returns:
            By the file's stem and the test: empty where it passed, else why it did not. And why there is no such
            answer, or an empty text.
        """
        report = self._base / "junit.xml"
        report.unlink(missing_ok=True)
        entry = ["pytest"] if real else [f"{__package__}.pytest_process", str(self._base)]
        # Under pytest-xdist the sandbox would not be there; in the order of the files, whatever the project's options.
        alone = ["-n0"] if find_spec("xdist") is not None else []
        places = [os.path.relpath(self._place(file), self._root) for file in files]
        command = [sys.executable, "-m", *entry, *places, f"--junitxml={report}", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*command, "--maxfail=0", "-m", "", *alone, *arguments],
                cwd=self._root,
                env={**_environment(), "TMPDIR": str(self._base / "tmp"), **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {}, f"the trial has not ended within {_SECONDS} s"
        if done.returncode not in (0, 1) or not report.exists():
            return {}, _last_words(done)
        return _outcomes(report), ""

    def _place(self, path: Path) -> Path:
        return Path(os.path.normpath(self._root / os.path.relpath(path, self._project.root)))


def _environment() -> dict[str, str]:
    """That of a test run: without options of another one, and leaving no bytecode in installed packages."""
    kept = {name: value for name, value in users_environment().items() if not name.startswith("PYTEST_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def _outcomes(report: Path) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        why = [one for one in case if one.tag in ("failure", "error", "skipped")]
        text = " ".join((why[0].get("message") or why[0].text or "it failed").split()) if why else ""
        stem = str(case.get("classname", "")).rpartition(".")[2]
        # A test may have failed, and the end of its fixtures, too: the first says more.
        key = (stem, str(case.get("name")))
        found[key] = found.get(key) or text
    return found


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E  ", "ERROR", "INTERNALERROR>")) or "Error" in line]
    return (errors or lines or [f"pytest has ended with {done.returncode}"])[-1]
