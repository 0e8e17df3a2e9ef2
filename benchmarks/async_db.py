"""How fast a database test is: sync, async on the shared connection, async with ``transactional_db``.

    python benchmarks/async_db.py [--tests 100] [--databases memory file postgresql]

A Django project with 30 models is made in a temporary folder, and its suite run once for each database (PostgreSQL
is started privately, with the settings that it has by default). Each kind of test creates a row, counts and reads it.
Printed are lower quartiles in milliseconds for the whole of a test, setup and teardown included, and ratios:

- async ``db`` to the sum of a sync ``db`` test and an empty async test: at most 1.3
- ``transactional_db`` to async ``db``, on PostgreSQL: at least 15
- a sync ``db`` test with the plugin to one without it, in CPU time (the lowest quartile of some alternating runs)

Ends with 1 if one of the first two is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.postgres import postgres_server  # noqa: E402

MODELS = 30
MOST_OF_SUM = 1.3
LEAST_OF_TRANSACTIONAL = 15
ALTERNATIONS = 3

SETTINGS = """
import json, os
SECRET_KEY = "benchmark"
INSTALLED_APPS = ["depot"]
DATABASES = json.loads(os.environ["BENCHMARK_DATABASES"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""

MODEL = """
class Model{number}(models.Model):
    name = models.CharField(max_length=40, unique=True)
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE)
"""

CONFTEST = """
import collections, json, os, time
import pytest

TIMES = collections.defaultdict(list)
CLOCK = getattr(time, os.environ["BENCHMARK_CLOCK"])

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    # In turn, so that what else the machine does meets all kinds alike; but what empties the tables last.
    items.sort(key=lambda item: ("transactional" in item.name, item.callspec.params["number"]))

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    start = CLOCK()
    result = yield
    TIMES[item.originalname].append(CLOCK() - start)
    return result

def pytest_sessionfinish():
    with open(os.environ["BENCHMARK_OUT"], "w") as out:
        json.dump(TIMES, out)
"""

TESTS = """
import pytest
from depot.models import Model0

@pytest.mark.parametrize("number", range({tests}))
def test_sync_db(db, number):
    Model0.objects.create(name="a")
    assert Model0.objects.count() == 1
    assert Model0.objects.get(name="a").name == "a"
"""

ASYNC_TESTS = """
async def use():
    await Model0.objects.acreate(name="a")
    assert await Model0.objects.acount() == 1
    assert (await Model0.objects.aget(name="a")).name == "a"

@pytest.mark.asyncio
@pytest.mark.parametrize("number", range({tests}))
async def test_empty_async(number):
    pass

@pytest.mark.asyncio
@pytest.mark.parametrize("number", range({tests}))
async def test_async_db(db, number):
    await use()

@pytest.mark.asyncio
@pytest.mark.parametrize("number", range({few}))
async def test_async_transactional_db(transactional_db, number):
    await use()
"""


def write_project(folder: Path, tests: int) -> None:
    (folder / "depot").mkdir()
    (folder / "depot" / "__init__.py").touch()
    models = "from django.db import models\n" + "".join(MODEL.format(number=number) for number in range(MODELS))
    (folder / "depot" / "models.py").write_text(models)
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_sync.py").write_text(TESTS.format(tests=tests))
    (folder / "test_all.py").write_text((TESTS + ASYNC_TESTS).format(tests=tests, few=max(tests // 5, 10)))
    (folder / "pytest.ini").write_text(
        "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\n"
        "addopts = -q -p no:cacheprovider -p no:randomly -p no:faker\n"
    )


def run(folder: Path, database: dict[str, object], *arguments: str, clock: str = "perf_counter") -> dict[str, float]:
    """Run a suite; the lower quartile of each kind of test, in milliseconds."""
    out = folder / "times.json"
    environment = {
        **os.environ,
        "BENCHMARK_DATABASES": json.dumps({"default": database}),
        "BENCHMARK_OUT": str(out),
        "BENCHMARK_CLOCK": clock,
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the suite failed:\n{done.stdout}{done.stderr}")
    times = json.loads(out.read_text())
    # The first tests of a kind pay for imports and for the first connection. The lower quartile, for all kinds alike:
    # on a machine that is used by others too, the median measures them.
    return {kind.removeprefix("test_"): statistics.quantiles(values[3:])[0] * 1000 for kind, values in times.items()}


def benchmark(name: str, folder: Path, database: dict[str, object]) -> bool:
    """Run and print one database; whether it is within the limits."""
    ms = run(folder, database, "test_all.py")
    of_sum = ms["async_db"] / (ms["sync_db"] + ms["empty_async"])
    of_transactional = ms["async_transactional_db"] / ms["async_db"]
    with_plugin, without = [], []
    for _ in range(ALTERNATIONS):
        for options, found in (((), with_plugin), (("-p", "no:backchannel"), without)):
            found.append(run(folder, database, "test_sync.py", *options, clock="process_time")["sync_db"])
    overhead = min(with_plugin) / min(without)
    print(
        f"{name:<12}{ms['sync_db']:>9.2f}{ms['empty_async']:>13.2f}{ms['async_db']:>10.2f}"
        f"{ms['async_transactional_db']:>18.2f}{of_sum:>12.2f}{of_transactional:>15.1f}{overhead:>16.3f}",
        flush=True,
    )
    return of_sum <= MOST_OF_SUM and (name != "postgresql" or of_transactional >= LEAST_OF_TRANSACTIONAL)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=100, help="how many tests of each kind (default: 100)")
    parser.add_argument("--databases", nargs="+", default=["memory", "file", "postgresql"])
    arguments = parser.parse_args()
    print(
        f"{'ms a test':<12}{'sync db':>9}{'empty async':>13}{'async db':>10}{'transactional_db':>18}"
        f"{'of the sum':>12}{'transactional':>15}{'sync overhead':>16}"
    )
    good = True
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_project(folder, arguments.tests)
        for name in arguments.databases:
            if name == "postgresql":
                database = stack.enter_context(postgres_server(durable=True)).settings()
            else:
                path = ":memory:" if name == "memory" else str(folder / "database.sqlite3")
                database = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "TEST": {"NAME": path}}
            good &= benchmark(name, folder, database)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
