"""Loaded into each measured run of pytest by ``-p corpus_probe``: writes what came of it, and what each test reached.

By environment variables, since the run is another process: CORPUS_RESULT names the file for the result, CORPUS_ONLY a
file with the tests to run, and CORPUS_REACH asks for the functions of the project that each test calls.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LONGEST = 12_000
ROOT = str(Path.cwd()) + os.sep
OUTSIDE = ""  # what is reached by no test in particular: imports, collection, fixtures of the session

failures: list[dict[str, str]] = []
told: list[str] = []
passed: list[str] = []
reached: dict[str, set[str]] = {OUTSIDE: set()}
current = OUTSIDE


def pytest_configure() -> None:
    if os.environ.get("CORPUS_REACH"):
        threading.settrace(_trace)
        sys.settrace(_trace)


def _trace(frame: Any, event: str, arg: object) -> None:
    code = frame.f_code
    if code.co_filename.startswith(ROOT):
        reached[current].add(f"{code.co_filename.removeprefix(ROOT)}:{code.co_qualname.split('.<locals>')[0]}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CORPUS_ONLY"):
        only = set(json.loads(Path(os.environ["CORPUS_ONLY"]).read_text()))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in only])
        items[:] = [item for item in items if item.nodeid in only]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global current
    current = item.nodeid
    reached.setdefault(current, set())
    Path(os.environ["CORPUS_RESULT"]).with_suffix(".now").write_text(current)  # where a run that does not end was
    try:
        return (yield)
    finally:
        current = OUTSIDE


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        story = "\n".join(text for title, text in report.sections if not title.startswith("Captured"))
        text = report.longreprtext[-LONGEST:] + "\n" + story[:LONGEST]
        failures.append({"test": report.nodeid, "when": report.when or "", "text": text})
    elif report.when == "call":
        passed.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        failures.append({"test": report.nodeid, "when": "collect", "text": report.longreprtext[-LONGEST:]})


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    if any(kind.__module__.startswith("pytest_backchannel") for kind in warning_message.category.__mro__):
        told.append(f"{warning_message.message}\n[{nodeid}]")


@pytest.hookimpl(trylast=True, wrapper=True)
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Take what the plugin says at the end, in its own section or as lines of its own."""
    write_line = terminalreporter.write_line

    def noted(line: str, **markup: bool) -> None:
        if line.startswith(" ") and told:
            told[-1] += f"\n{line}"  # says more of the line before
        elif line.strip():
            told.append(line)
        write_line(line, **markup)

    terminalreporter.write_line = noted
    try:
        return (yield)
    finally:
        terminalreporter.write_line = write_line


def pytest_unconfigure() -> None:
    sys.settrace(None)
    modules = [str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())]
    Path(os.environ["CORPUS_RESULT"]).write_text(
        json.dumps(
            {
                "failures": failures,
                "told": told,
                "passed": passed,
                "reached": {test: sorted(names) for test, names in reached.items()},
                "imported": sorted(name.removeprefix(ROOT) for name in modules if name.startswith(ROOT)),
            }
        )
    )
