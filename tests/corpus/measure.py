"""All changes under all set-ups, some at once."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .edits import EXAMPLE, SUITES, Change
from .reach import which_tests
from .runs import SETUPS, Run, Runner, Setup
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
PLUGIN = Path(__file__).parents[2] / "src"
MOST = 3  # failures of the example's tests: enough to see by what it is caught


@dataclass
class Measured:
    """One change, with a verdict for each column."""

    change: Change
    verdicts: dict[str, Verdict] = field(default_factory=dict)


class NotGreen(Exception):
    """The example itself fails: nothing can be measured."""


def baselines(runner: Runner, setups: Iterable[str], known: Path, say: Callable[[str], None]) -> dict[str, Run]:
    """The runs of the example as it is, under each set-up, with what each test reaches.

    Args:
        runner: runs those that are not known.
        setups: their names.
        known: a folder where runs are kept: they are the same until the example, a suite or the plugin changes.
        say: prints.

    Raises:
        NotGreen: a test failed.
    """
    runs = {}
    project = None
    for name in setups:
        file = known / f"{name.replace(' ', '-')}-{_fingerprint(SETUPS[name])}.json"
        if file.exists():
            runs[name] = Run(**json.loads(file.read_text()))
            continue
        project = project or runner.copy(None)
        run = runs[name] = runner.run(project, SETUPS[name], reach=True)
        if run.failures:
            first = run.failures[0]
            raise NotGreen(f"without any edit, under {name!r}, {first['test']} fails:\n{first['text']}")
        known.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(run)))
        say(f"{name}: {len(run.passed)} tests pass without an edit")
    if project:
        shutil.rmtree(project.parent, ignore_errors=True)
    return runs


def _fingerprint(setup: Setup) -> str:
    """Of all that such a run depends on, but the libraries."""
    folders = [EXAMPLE, SUITES, Path(__file__).parent / "probe", *([PLUGIN] if setup.has_plugin else [])]
    digest = hashlib.sha256(repr((setup, sys.version)).encode())
    for file in sorted(
        file for folder in folders for file in folder.rglob("*") if file.suffix in (".py", ".toml", ".html")
    ):
        digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


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


def _verdicts(
    runner: Runner, change: Change, project: Path, runs: dict[str, Run], everything: bool
) -> Iterator[tuple[str, Verdict]]:
    seen: dict[str, Run] = {}
    for name, baseline in runs.items():
        setup = SETUPS[name]
        only = None if everything else which_tests(change, setup, baseline)
        if setup.judges_failures_of in seen:
            only = _failed(seen[setup.judges_failures_of], baseline, only)
        most = MOST if setup.suites == ("tests",) else 0
        run = runner.run(project, setup, only=only, most=most) if only is None or only else Run()
        seen[name] = run
        news = run.news(baseline) if setup.has_plugin else []
        for column, (suite, of_setup) in COLUMNS.items():
            if of_setup == name:
                failures = [failure for failure in run.failures if _belongs(failure["test"], suite)]
                yield column, verdict(change, failures, [line for line in news if _belongs_told(line, suite)])


def _failed(run: Run, baseline: Run, reached: set[str] | None) -> set[str] | None:
    """The tests that failed in a run, for another to try; all that are reached, where they do not say it all."""
    failed = {failure["test"] for failure in run.failures}
    complete = not run.told and len(run.failures) < MOST and failed <= set(baseline.passed)
    return failed if complete else reached


def _belongs(test: str, suite: str) -> bool:
    """A failure of all of it is one of each suite."""
    return test.startswith((suite + "/", "("))


def _belongs_told(line: str, suite: str) -> bool:
    """What names no suite is told whichever of them runs."""
    named = [name for name in ("suite_u/", "suite_a/", "tests/") if name in line]
    return not named or suite + "/" in named
