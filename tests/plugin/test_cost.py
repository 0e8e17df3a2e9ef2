"""A budget, in instructions, for what the plugin adds to a test that uses nothing of it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cost.py"
# With some room above what was seen, in thousands: docs/reference/cost.md.
BUDGETS = {"neither Celery nor Channels imported": 20, "Celery and Channels imported": 120}


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    if shutil.which("valgrind") is None or platform.machine() not in ("x86_64", "AMD64"):
        reason = "instructions are counted by valgrind, on x86-64: apt-get install valgrind"
        if os.environ.get("CI") == "true" and platform.machine() in ("x86_64", "AMD64"):
            pytest.fail(reason)
        pytest.skip(reason)
    file = tmp_path_factory.mktemp("cost") / "counts.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", "nothing", "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(file.read_text())
    assert found["counted"]
    return found["counts"]


@pytest.mark.slow
@pytest.mark.parametrize("imported", BUDGETS)
def test_a_test_that_uses_nothing_stays_within_its_budget(counts, imported):
    assert counts[imported] <= BUDGETS[imported], "a hook was added that every test pays for, or one has become dearer"
