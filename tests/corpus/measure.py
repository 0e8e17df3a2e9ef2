"""All changes under all set-ups, some at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from .edits import Change
from .reach import tests_reached
from .runs import SETUPS, Run, Runner
from .verdicts import Verdict, verdict

# The suites and ways of the table: a column for each.
COLUMNS = {
    "U": ("suite_u", "plain"),
    "A": ("suite_a", "plain"),
    "U strict": ("suite_u", "strict"),
    "A strict": ("suite_a", "strict"),
    "example": ("tests", "example"),
    "example strict": ("tests", "example strict"),
}
MOST = 8  # failures of one run: enough to see by what it is caught


@dataclass
class Measured:
    """One change, with a verdict for each column."""

    change: Change
    verdicts: dict[str, Verdict] = field(default_factory=dict)


class NotGreen(Exception):
    """The example itself fails: nothing can be measured."""


def baselines(runner: Runner, setups: Iterable[str], say: Callable[[str], None]) -> dict[str, Run]:
    """Run the example as it is, under each set-up, and note what each test reaches.

    Raises:
        NotGreen: a test failed.
    """
    project = runner.copy(None)
    runs = {}
    for name in setups:
        run = runs[name] = runner.run(project, SETUPS[name], reach=True)
        if run.failures:
            first = run.failures[0]
            raise NotGreen(f"without any edit, under {name!r}, {first['test']} fails:\n{first['text']}")
        say(f"{name}: {len(run.passed)} tests pass without an edit")
    shutil.rmtree(project.parent, ignore_errors=True)
    return runs


def measure(
    runner: Runner,
    changes: list[Change],
    runs: dict[str, Run],
    *,
    jobs: int,
    everything: bool = False,
    done: Callable[[Measured], None],
) -> list[Measured]:
    """Measure changes; ``done`` is called with each as it is ready."""

    def one(change: Change) -> Measured:
        project = runner.copy(change)
        try:
            return Measured(change, dict(_verdicts(runner, change, project, runs, everything)))
        finally:
            shutil.rmtree(project.parent, ignore_errors=True)

    found: dict[str, Measured] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(one, change) for change in changes]):
            measured = future.result()
            found[measured.change.name] = measured
            done(measured)
    return [found[change.name] for change in changes]


def _verdicts(runner: Runner, change: Change, project, runs: dict[str, Run], everything: bool):
    for name, baseline in runs.items():
        setup = SETUPS[name]
        only = None if everything else tests_reached(change, setup, baseline)
        most = MOST if setup.suites == ("tests",) else 0
        run = runner.run(project, setup, only=only, most=most) if only is None or only else Run(ran=False)
        news = run.news(baseline) if setup.has_plugin else []
        for column, (suite, of_setup) in COLUMNS.items():
            if of_setup == name:
                failures = [failure for failure in run.failures if _belongs(failure["test"], suite)]
                yield column, verdict(change, failures, [line for line in news if _belongs_told(line, suite)])


def _belongs(test: str, suite: str) -> bool:
    """A failure of all of it is one of each suite."""
    return test.startswith((suite + "/", "("))


def _belongs_told(line: str, suite: str) -> bool:
    """What names no suite is told whichever of them runs."""
    named = [name for name in ("suite_u/", "suite_a/", "tests/") if name in line]
    return not named or suite + "/" in named
