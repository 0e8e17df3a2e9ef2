"""What the plugin costs a suite that does not use it: the same tests with it and without it, in turn.

    python benchmarks/overhead.py [--tests 3000] [--rounds 5]

Both are whole pytest processes, run in turn (with, without, with, …), so that the machine's drift meets both alike. The
figure is the median of the ratios, pair by pair; the start-up alone is measured with a suite of one test.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = """
import pytest

@pytest.mark.parametrize("n", range({count}))
def test_it(n):
    assert n >= 0
"""
COMMON = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:faker", "-p", "no:valkey", "-p", "no:asyncio"]


def seconds(folder: Path, *args: str) -> float:
    """How long one pytest process takes, in seconds of wall-clock time."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pytest", *COMMON, *args], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare(count: int, rounds: int) -> None:
    """Print the medians with and without the plugin, and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_suite.py").write_text(SUITE.format(count=count))
        seconds(folder), seconds(folder, "-p", "no:backchannel")  # a round that is not counted
        pairs = [(seconds(folder), seconds(folder, "-p", "no:backchannel")) for _ in range(rounds)]
    with_it, without = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    per_test = (with_it - without) / count * 1e6
    print(
        f"{count:6} tests: {with_it:.3f} s with, {without:.3f} s without: ratio {ratio:.3f}, {per_test:+.1f} µs a test"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    compare(1, options.rounds)
    compare(options.tests, options.rounds)
