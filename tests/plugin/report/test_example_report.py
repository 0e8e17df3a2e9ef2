"""The report of the example: as it was judged by hand, and what opens where a test is left out.

``tests/golden/example-report.json`` is that report. Write it anew, and look at what has changed, with
``BACKCHANNEL_RENEW=1 pytest tests/plugin/report/test_example_report.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_backchannel.questions.report.combining import combined
from pytest_backchannel.questions.report.formats import json_file
from pytest_backchannel.questions.report.gaps import gaps_of
from pytest_backchannel.questions.report.model import NOT_KNOWN, OPEN, REACHED, Facet, Item, Note, Report

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "example"
GOLDEN = ROOT / "tests" / "golden" / "example-report.json"
NOT_LOADED = ["-p", "no:randomly", "-p", "no:faker", "-p", "no:valkey"]


def run_example(target, *arguments):
    """The example's suite without its slow job, since not every machine has a Redis."""
    command = [sys.executable, "-m", "pytest", "-q", *NOT_LOADED, "-m", "not celery_integration"]
    command += [f"--backchannel-report=json:{target}", "-W", "ignore", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_"))}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(command, cwd=EXAMPLE, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return json_file.read(target)


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    return run_example(tmp_path_factory.mktemp("example") / "report.json")


def test_it_is_as_it_was_judged(example):
    text = json_file.as_text(example)
    if os.environ.get("BACKCHANNEL_RENEW"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


# ----------------------------------------------------------- without some of its tests


def only(report: Report, tests: set[str]) -> Report:
    """The report of a run of these tests alone."""

    def facet(one: Facet) -> Facet:
        kept = tuple(test for test in one.tests if test in tests)
        notes = [Note(text=note.text, tests=tuple(test for test in note.tests if test in tests)) for note in one.notes]
        state = REACHED if kept else OPEN if one.state != NOT_KNOWN else NOT_KNOWN
        return Facet(
            name=one.name, wanted=one.wanted, why=one.why, state=state, tests=kept,
            notes=tuple(note for note in notes if note.tests),
        )  # fmt: skip

    def kept_of(item: Item) -> Item:
        facets = {name: facet(one) for name, one in item.facets.items()}
        if "mock_fits" in facets and not facets["mock_fits"].tests:
            del facets["mock_fits"]  # it is asked for only where a mock was called
        return replace(item, facets=facets)

    items = [kept_of(item) for item in report.items]
    kept = [test for test in report.tests if test.id in tests]
    return replace(report, items=items, tests=kept, gaps=gaps_of(items))


def alone(report: Report, *tests: str) -> set[str]:
    """The keys of what these tests reach, and no other."""
    return {
        f"{item.key}#{facet.name}"
        for item in report.items
        for facet in item.facets.values()
        if facet.wanted and facet.tests and facet.name != "mock_fits" and set(facet.tests) <= set(tests)
    }


def golden_tests():
    return [test.id for test in json_file.read(GOLDEN).tests] if GOLDEN.exists() else []


@pytest.fixture(scope="session")
def shards(example):
    return {test.id: only(example, {test.id}) for test in example.tests}


@pytest.mark.parametrize("test", golden_tests())
def test_the_merge_of_all_other_tests_opens_what_this_one_closes(example, shards, test):
    others = combined([shard for name, shard in shards.items() if name != test])
    assert others.open_keys() - example.open_keys() == alone(example, test)
    assert example.open_keys() <= others.open_keys()


@pytest.mark.slow
def test_ten_tests_that_are_really_left_out(example, tmp_path):
    """Those that close most, each by itself: their gaps open, and no other."""
    closing = sorted(example.tests, key=lambda test: (-len(alone(example, test.id)), test.id))[:10]
    names = [test.id for test in closing]
    without = run_example(tmp_path / "report.json", *(f"--deselect={name}" for name in names))
    assert {test.id for test in example.tests} - {test.id for test in without.tests} == set(names)
    opened = without.open_keys() - example.open_keys()
    assert opened == alone(example, *names)
    assert sum(len(alone(example, name)) for name in names) > 0
