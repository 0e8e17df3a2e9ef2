"""What a test with a real Redis and a real worker costs: the first, and each further one.

    python benchmarks/integration.py [--tests 10]

For comparison: the hello world of pytest-celery's documentation, with a Redis broker and a worker in Docker, takes
22.78 s there (https://pytest-celery.readthedocs.io, "Getting Started", the run that is shown).
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "tests" / "sample"
SETTINGS = '\nDATABASES["default"]["TEST"] = {"NAME": "test.sqlite3"}\n'
TEST = """
import pytest
from shop.tasks import add

@pytest.mark.parametrize("number", range({tests}))
def test_it(worker_process, number):
    worker_process()
    assert add.delay(number, 1).get(timeout=20) == number + 1
"""
INI = "[pytest]\nDJANGO_SETTINGS_MODULE = config.settings\npythonpath = .\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=10, help="how many tests, the first among them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        shutil.copytree(SAMPLE, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        settings = project / "config" / "settings.py"
        settings.write_text(settings.read_text() + SETTINGS)
        (project / "test_it.py").write_text(TEST.format(tests=options.tests))
        (project / "pytest.ini").write_text(INI)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--durations=0", "-vv", "-p", "no:randomly", "test_it.py"],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    costs: dict[int, float] = {}
    for seconds, number in re.findall(r"^([\d.]+)s \w+ +test_it\.py::test_it\[(\d+)\]", done.stdout, flags=re.M):
        costs[int(number)] = costs.get(int(number), 0.0) + float(seconds)
    further = [cost for number, cost in costs.items() if number]
    print(f"first test, with the start of Redis and of the worker: {costs[0]:.2f} s")
    median, worst = statistics.median(further), max(further)
    print(f"each further test: median {median:.2f} s, worst {worst:.2f} s ({len(further)} tests)")
    print("pytest-celery's hello world, as its documentation shows it: 22.78 s")


if __name__ == "__main__":
    main()
