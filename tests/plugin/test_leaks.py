"""Mixed tests in one process leave it as it was; `benchmarks/leaks.py` shows the same for 5,000 of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "leaks.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc, and this is no Linux")
def test_hundreds_of_mixed_tests_leave_the_process_as_it_was():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--tests", "500"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for name in ("file descriptors", "threads", "connections of Django", "sockets", "pools", "receivers", "modules"):
        assert any(line.startswith(f"{name}: ") and line.endswith("as before") for line in done.stdout.splitlines())
