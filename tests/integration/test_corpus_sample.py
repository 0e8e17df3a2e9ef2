"""A few of the known bugs, as `make corpus` measures all of them: the runner works, and what is published holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# One for each way to be caught: by the tests' assertions, by a verdict of the plugin, by a run in which no test ran.
CHANGES = ["retry_permanent", "consumer_group_typo", "routing_import_before_setup", "plain_status", "kwargs"]


@pytest.fixture
def corpus(tmp_path):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "corpus", "--json", str(tmp_path / "corpus.json"), *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
            capture_output=True,
            text=True,
            check=False,
        )
        kept = tmp_path / "corpus.json"
        return done, json.loads(kept.read_text())["changes"] if kept.exists() else {}

    return run


@pytest.mark.slow
def test_a_few_known_bugs_are_caught_and_refactorings_are_not(corpus):
    done, changes = corpus("--only", *CHANGES, "--setups", "plain", "example strict")
    assert done.returncode == 0, done.stdout + done.stderr
    caught = {
        name: {column for column, verdict in entry["verdicts"].items() if verdict["red"] or verdict["told"]}
        for name, entry in changes.items()
    }
    assert caught["retry_permanent"] == {"U", "A", "example strict"}
    assert caught["consumer_group_typo"] == {"A", "example strict"}
    assert changes["consumer_group_typo"]["verdicts"]["example strict"]["slugs"] == ["no_members"]
    assert caught["plain_status"] == set()
    # patch(…delay) compares how the call is spelt, and is no false alarm of ours.
    assert {test.split("::")[0] for test in changes["kwargs"]["verdicts"]["A"]["by"]} == {"suite_a/test_call_site.py"}


def test_a_name_that_is_not_known_is_said(corpus):
    done, changes = corpus("--only", "no_such_bug")
    assert done.returncode == 1
    assert "no such change: no_such_bug; known: " in done.stderr
    assert not changes
