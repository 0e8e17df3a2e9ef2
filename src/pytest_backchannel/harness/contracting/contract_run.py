"""Writes the contract of a project at the end of a run, in the process that has the reports of all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...errors import BackchannelError
from ...options import options_of
from ...questions.contract.sends_noted import noted


class ContractRun:
    """What the process of the run, and not a worker of pytest-xdist, knows of all tests.

    Args:
        config: of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._sent: list[Any] = []
        self._tests = 0
        self._deselected = 0
        self._left_out: dict[str, int] = {}
        self.collected_only = bool(config.getoption("collectonly", False))
        self.lines: list[str] = []
        self.path = Path(config.invocation_params.dir, options_of(config).contract)
        if not self.path.parent.is_dir():
            raise pytest.UsageError(
                f"--backchannel-contract={options_of(config).contract}: there is no folder {self.path.parent}"
            )

    def add(self, report: pytest.TestReport) -> None:
        """Take what the report of one phase of a test says."""
        self._sent += getattr(report, "backchannel_sent", None) or ()
        self._tests += report.when == "teardown"
        if report.failed:
            self.left_out("failed")
        elif report.skipped:
            self.left_out("were skipped" if not hasattr(report, "wasxfail") else "were expected to fail")

    def deselected(self, count: int) -> None:
        """Each worker of pytest-xdist leaves out the same tests.

        Args:
            count: how many one process has left out.
        """
        self._deselected = max(count, self._deselected)

    def left_out(self, why: str, count: int = 1) -> None:
        """Some tests did not run to their end.

        Args:
            why: what became of them.
            count: how many.
        """
        self._left_out[why] = self._left_out.get(why, 0) + count

    def finish(self, exitstatus: int) -> bool:
        """Write the file, where the run came to its end.

        Args:
            exitstatus: pytest's, of the run.

        Returns:
            Whether it was written.
        """
        if self._deselected:
            self.left_out("were deselected", self._deselected)
        collected_only = self.collected_only
        if not collected_only and (
            not self._tests or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        ):
            self.lines.append(f"{self.path} was not written: the run did not come to its end")
            return False
        try:
            self._write(list(self._why_not_all(collected_only)))
        except (BackchannelError, OSError) as error:
            self.lines.append(f"{self.path} was not written: {' '.join(str(error).split())}")
            return False
        return True

    def _why_not_all(self, collected_only: bool) -> Iterator[str]:
        if collected_only:
            yield "no test ran"
        elif not _covers_the_suite(self._config):
            yield "only a part of the suite was asked for"
        for why, count in self._left_out.items():
            yield f"{count} test{'' if count == 1 else 's'} {why.replace('were', 'was') if count == 1 else why}"

    def _write(self, why_not_all: list[str]) -> None:
        from ...questions.contract.contract_file import as_text, read
        from ...questions.contract.making_contract import make_contract

        earlier = read(self.path) if why_not_all and self.path.exists() else None
        project, not_known = self._project()
        tasks, messages = noted.from_data(self._sent)
        contract = make_contract(project, tasks, messages, earlier=earlier)
        text = as_text(contract)
        before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self.path.write_text(text, encoding="utf-8")
        state = "unchanged" if text == before else "written anew" if before else "written"
        self.lines.append(
            f"{self.path}: {state}: {len(contract.tasks)} kinds of messages for tasks, {len(contract.messages)} on "
            f"channel layers; {len(contract.accepts.tasks)} tasks, {len(contract.accepts.routes)} routes"
        )
        if why_not_all:
            kept = "what tests had seen before was kept" if earlier is not None else "there may be more messages"
            self.lines.append(f"{', '.join(why_not_all)}: {kept}")
        self.lines += [f"not known: {text}" for text in not_known]

    def _project(self) -> tuple[Any, tuple[str, ...]]:
        from ...questions.contract.from_project import Project
        from ...source import read_tree
        from ..fresh.asked_project import ask_project

        asked = ask_project(self._config)
        root = self._config.rootpath
        project = Project(
            root=root,
            index=read_tree(root),
            celery=asked.celery,
            asgi=asked.asgi,
            worker_queues=options_of(self._config).worker_queues,
        )
        return project, asked.not_known


def _covers_the_suite(config: pytest.Config) -> bool:
    """Whether no test was left out by what the command line names."""
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        return True
    named = [Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args]
    if any("::" in arg for arg in config.args):
        return False
    wanted = [Path(config.rootpath, path).resolve() for path in config.getini("testpaths")] or [config.rootpath]
    return all(any(folder.is_relative_to(one) for one in named) for folder in wanted)
