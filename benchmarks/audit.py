"""What --backchannel-audit costs: the example project, and two suites of fast bodies, with the flag and without.

    python benchmarks/audit.py [ROUNDS]

Each suite runs in turn without and with the flag, so many rounds (3), after one that compiles its modules; what is told
is the median of the ratios. Processor time is that of all processes, the forked ones too. The clock says something on
an idle machine alone. Of 996 tests with 166 tasks, one in six runs a task in the first suite of fast bodies, and each
does in the second one. A body makes one SQL statement, sends a mail, enqueues another task, or does nothing.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import report

TESTS, TASKS = 996, 166
EXAMPLE = Path(__file__).resolve().parent.parent / "example"
BODIES = (
    "Order.objects.filter(id=order_id).update(paid=True)",
    'send_mail("Paid", "Thank you.", "shop@example.com", ["you@example.com"])',
    "task_{next}.delay(order_id)",
    "return order_id",
)
TASK_TESTS = """
import pytest
from shop import tasks
from shop.models import Order


@pytest.mark.parametrize("number", range({many}))
def test_task(db, number):
    order = Order.objects.create(number=number)
    getattr(tasks, f"task_{{number % {tasks}}}").delay(order.id)
    assert Order.objects.count() == 1
"""


class Cost(NamedTuple):
    """What a run takes, in seconds."""

    processor: float
    clock: float


def write_suite(folder: Path, *, each: bool) -> None:
    """A project with fast bodies, of which one in six tests runs one, or each test."""
    report.write_project(folder, TESTS)
    bodies = (
        f"@shared_task(acks_late=True)\ndef task_{number}(order_id):\n"
        f"    {BODIES[number % len(BODIES)].format(next=(number + 1) % TASKS)}\n"
        for number in range(TASKS)
    )
    (folder / "shop" / "tasks.py").write_text(
        "from celery import shared_task\nfrom django.core.mail import send_mail\n\nfrom .models import Order\n\n\n"
        + "\n\n".join(bodies)
    )
    views = folder / "shop" / "views.py"
    views.write_text(views.read_text().replace("% 200", f"% {TASKS}"))
    tests = folder / "test_shop.py"
    if each:
        tests.write_text(TASK_TESTS.format(many=TESTS, tasks=TASKS))
    else:
        others = re.sub(r"@pytest[^@]*def test_task.*?\n\n\n", "", tests.read_text(), flags=re.DOTALL)
        tests.write_text(others.replace("% 200", f"% {TASKS}"))
        (folder / "test_tasks.py").write_text(TASK_TESTS.format(many=TESTS // 6, tasks=TASKS))


def cost(folder: Path, compiled: Path, *arguments: str) -> tuple[Cost, str]:
    """What pytest takes with all its processes, and what it prints."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:faker"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": str(compiled)}
    used, began = _used(), time.monotonic()
    done = subprocess.run([*command, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    found = Cost(_used() - used, time.monotonic() - began)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return found, done.stdout


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compare(name: str, folder: Path, compiled: Path, rounds: int) -> None:
    """Print what a suite takes without the flag and with it."""
    cost(folder, compiled, "--backchannel-audit")
    without, audited, text = [], [], ""
    for _ in range(rounds):
        without.append(cost(folder, compiled)[0])
        found, text = cost(folder, compiled, "--backchannel-audit")
        audited.append(found)
    print(f"{name}: {next(line for line in text.splitlines() if 'audited' in line)}")
    for field, unit in (("processor", "s of processor time"), ("clock", "s by the clock")):
        pairs = [(getattr(a, field), getattr(b, field)) for a, b in zip(without, audited, strict=True)]
        a, b = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(after / before for before, after in pairs)
        print(f"  {a:6.2f} → {b:6.2f} {unit}: × {ratio:.2f}")


def main(rounds: int) -> None:
    """Print all three."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for title, each in (("fast bodies, one test in six", False), ("fast bodies, each test", True)):
            folder = place / ("each" if each else "some")
            folder.mkdir()
            write_suite(folder, each=each)
            compare(title, folder, place / "compiled", rounds)
        compare("the example", EXAMPLE, place / "compiled", rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
