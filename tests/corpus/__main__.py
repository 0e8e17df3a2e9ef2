"""``python -m corpus``, with ``tests`` on the path: what ``make corpus`` runs."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .edits import REFACTORING, Change, load
from .measure import COLUMNS, Measured, NotGreen, baselines, measure
from .page import KINDS, PAGE, figures, keep, no_longer, write, write_page
from .page import load as kept_in
from .runs import SETUPS, Runner

RESULTS = Path(__file__).parents[2] / "build" / "corpus.json"
PUBLISHED = Path(__file__).parent / "results.json"  # what the page of the docs shows


def main() -> int:
    """Measure.

    Returns:
        1 where a refactoring is red, or something is not caught any more; 2 where nothing could be measured.
    """
    given = arguments()
    changes = load()
    chosen = sampled(choose(changes, given), given.sample, given.seed)
    kept = kept_in(given.json)
    alarms: list[Measured] = []
    if chosen and not given.show:
        try:
            alarms = play(chosen, kept, given)
        except NotGreen as error:
            print(error, file=sys.stderr)
            return 2
    print("\n" + figures(changes, kept))
    lost = no_longer({change.name: kept[change.name] for change in chosen if change.name in kept}, kept_in(PUBLISHED))
    if given.write_docs:
        write(PUBLISHED, kept)
        write_page(changes, kept)
        print(f"written: {PAGE}, {PUBLISHED}")
    for measured in alarms:
        print(f"\na refactoring is red: {measured.change.name}")
        for column, found in measured.verdicts.items():
            if found.caught:
                print(f"  {column}: {', '.join(found.by)}\n{found.text}")
    for name in lost:
        print(f"\nnot caught any more: {name}")
    return int(bool(alarms or lost))


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="make corpus", description="What the suites catch of known bugs.")
    parser.add_argument("--kind", nargs="+", choices=[*KINDS, REFACTORING], help="only changes of these kinds")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these changes")
    parser.add_argument("--later", action="store_true", help="only the bugs that were written later")
    parser.add_argument("--setups", nargs="+", choices=SETUPS, default=list(SETUPS), help="only these ways to run")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="how many changes run at once")
    parser.add_argument("--everything", action="store_true", help="run also the tests that an edit can't reach")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where results are kept; build/corpus.json")
    parser.add_argument("--write-docs", action="store_true", help="write the page of the docs from all kept results")
    parser.add_argument("--show", action="store_true", help="run nothing, show what is kept")
    parser.add_argument("--text", action="store_true", help="print the first failure of each")
    return parser.parse_args()


def choose(changes: list[Change], given: argparse.Namespace) -> list[Change]:
    """The changes that are asked for.

    Raises:
        SystemExit: a name is not known.
    """
    unknown = set(given.only or ()) - {change.name for change in changes}
    if unknown:
        raise SystemExit(f"no such change: {', '.join(sorted(unknown))}; known: {', '.join(c.name for c in changes)}")
    return [
        change
        for change in changes
        if (not given.only or change.name in given.only)
        and (not given.kind or change.kind in given.kind)
        and (not given.later or change.later)
    ]


def sampled(changes: list[Change], count: int | None, seed: int) -> list[Change]:
    """So many of them, the same for the same seed."""
    return changes if count is None else random.Random(seed).sample(changes, min(count, len(changes)))


def play(changes: list[Change], kept: dict[str, Any], given: argparse.Namespace) -> list[Measured]:
    """Measure them, keep and print each; gives the refactorings that are red."""
    alarms = []
    began, count = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="corpus-", ignore_cleanup_errors=True) as folder:
        runner = Runner(Path(folder))
        runs = baselines(runner, given.setups, given.json.parent / "corpus-runs", say)

        def done(measured: Measured) -> None:
            nonlocal count
            count += 1
            keep(given.json, kept, measured)
            say(f"{count}/{len(changes)} {time.monotonic() - began:4.0f} s  {line(measured)}")
            if given.text:
                say("\n".join(f"--- {column}\n{found.text}" for column, found in measured.verdicts.items()))
            if false_alarm(measured):
                alarms.append(measured)

        measure(runner, changes, runs, jobs=given.jobs, everything=given.everything, done=done)
    return alarms


def line(measured: Measured) -> str:
    """One change in one line: by which columns it is seen, and how."""
    seen = []
    for column in COLUMNS:
        found = measured.verdicts.get(column)
        if found is not None and found.caught:
            how = ", ".join(found.slugs) or (found.by[0].split("/", 1)[-1] if found.red else found.by[0])
            seen.append(
                f"{column}{'' if found.red else ' (told)'}: {how}{'' if found.names_cause else ' (cause not named)'}"
            )
    return f"{measured.change.name}: {'; '.join(seen) or 'nothing'}"


def false_alarm(measured: Measured) -> bool:
    """Whether a refactoring is seen by anything but a test that patches the call."""
    tests = [test for found in measured.verdicts.values() if found.caught for test in found.by]
    return not measured.change.is_bug and any("test_call_site.py" not in test for test in tests)


def say(text: str) -> None:
    """Print, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
