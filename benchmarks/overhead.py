"""What the plugin costs a suite that does not use it: the same tests with it and without it, in turn.

    python benchmarks/overhead.py [--tests 3000] [--rounds 5]

Both are whole pytest processes, run in turn (with, without, with, …), so that the machine's drift meets both alike. The
figure is the median of the ratios, pair by pair. The start-up alone is measured with a suite of one test, and left out
of what a further test costs.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = """
import pytest
{imports}

@pytest.mark.parametrize("n", range({count}))
def test_it(n):
    assert n >= 0
"""
COMMON = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:faker", "-p", "no:valkey", "-p", "no:asyncio"]


def seconds(folder: Path, *args: str) -> float:
    """What one pytest process takes, in seconds of processor time, which other processes disturb least."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "pytest", *COMMON, *args], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(count: int, rounds: int, imports: str = "") -> None:
    """Print what the plugin costs a suite of one test, and of many.

    Where the suite imports Celery and Channels, the plugin observes what is lost in them: that is measured too.
    """
    print(imports or "nothing imported")
    one = pairs(1, rounds, imports)
    many = pairs(count, rounds, imports)
    for number, measured in ((1, one), (count, many)):
        with_it, without = (statistics.median(column) for column in zip(*measured, strict=True))
        ratio = statistics.median(a / b for a, b in measured)
        print(f"  {number:5} tests: {with_it:.3f} s with, {without:.3f} s without: ratio {ratio:.3f}")
    further = statistics.median(a - b for a, b in many) - statistics.median(a - b for a, b in one)
    print(f"  each further test: {further / (count - 1) * 1e6:+.1f} µs")


def pairs(count: int, rounds: int, imports: str) -> list[tuple[float, float]]:
    """What a suite of so many tests costs with the plugin and without it, round by round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_suite.py").write_text(SUITE.format(count=count, imports=imports))
        seconds(folder), seconds(folder, "-p", "no:backchannel")  # a round that is not counted
        return [(seconds(folder), seconds(folder, "-p", "no:backchannel")) for _ in range(rounds)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    compare(options.tests, options.rounds)
    compare(options.tests, options.rounds, "import celery, channels.layers, channels.testing")
