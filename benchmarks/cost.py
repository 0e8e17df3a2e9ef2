"""What a test costs, in instructions of the processor: one table, and which targets are met.

    python benchmarks/cost.py [--json FILE] [--only one-test,pytest,nothing,doubles,growth,memory,suite]

Where valgrind is missing, the first two parts are in nanoseconds of processor time, and only ratios are judged. How to
read it: docs/reference/cost.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from counting import doubles, suite, unused
from counting.counter import available, count
from counting.one_test import BACKENDS, FURTHER, app_with

PARTS = ("one-test", "pytest", "nothing", "doubles", "growth", "memory", "suite")
COMMON = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:faker", "-p", "no:valkey"]


class Table:
    """The rows, as they come; each with its target, where it has one."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.missed: list[str] = []

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}")

    def row(self, name: str, value: float, unit: str, most: float | None = None, least: float | None = None) -> None:
        """Print one figure, and whether its target is met."""
        self.counts[name] = value
        target, met = "", True
        if most is not None:
            target, met = f"at most {most:g}", value <= most
        elif least is not None:
            target, met = f"at least {least:g}", value >= least
        if not met:
            self.missed.append(name)
        verdict = "" if not target else f"{target}: {'met' if met else 'MISSED'}"
        print(f"  {name:44}{value:10.2f} {unit:12} {verdict}")


def one_test(table: Table) -> None:
    """A test without pytest around it, and a further task in it."""
    counts = count(["-m", "counting.one_test"])
    unit = "M instr." if available() else "ms"
    targets = {"unused": 1.0, "assert only": 3.0, "one task": 6.0} if available() else {}
    table.title("One test (task_queue, no pytest)")
    further = {}
    for kind in BACKENDS:
        for row in ("unused", "assert only", "one task"):
            table.row(f"{kind}: {row}", counts[f"{kind} {row}"] / 1e6, unit, most=targets.get(row))
        further[kind] = (counts[f"{kind} many tasks"] - counts[f"{kind} one task"]) / FURTHER / 1e6
    table.title("One task (enqueue and run)")
    table.row("eager, its result stored", counts["eager"] / 1e6, unit)
    table.row("eager, not stored", counts["eager, not stored"] / 1e6, unit)
    for kind, cost in further.items():
        table.row(f"{kind}: a further task", cost, unit)
        table.row(f"{kind}: rate, of eager with stored result", counts["eager"] / 1e6 / cost, "", least=0.5)


def under_pytest(table: Table) -> None:
    """A test under pytest, with Django's settings and pytest-django."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in suite.FILES.items():
            Path(folder, name).write_text(text)
        counts = count(["-m", "pytest", "-s", *COMMON, "-p", "no:asyncio"], cwd=folder)
    unit = "M instr." if available() else "ms"
    table.title("One test under pytest, Django's settings, Redis results")
    for name, value in counts.items():
        most = 15.1 if available() and name == "test_task_queue" else None
        table.row(name.removeprefix("test_"), value / 1e6, unit, most=most)
    ratio = counts["test_task_queue"] / counts["test_eager"]
    table.row("task_queue, times a plain eager test", ratio, "", most=2)
    table.row("task_queue, times celery_eager", counts["test_task_queue"] / counts["test_celery_eager"], "")


def nothing(table: Table) -> None:
    """What the plugin adds to a test that uses nothing of it."""
    table.title("Added to a test under pytest that uses nothing of the plugin")
    cases = (
        ("neither Celery nor Channels imported", suite.NEITHER, 15),
        ("Celery and Channels imported", suite.BOTH, 60),
    )
    for name, imports, most in cases:
        cost = unused.added(imports) / 1e3
        table.row(name, cost, "k instr." if available() else "us", most=most if available() else None)


def other_doubles(table: Table) -> None:
    """A test with each of the other doubles, under pytest, beside what there is else."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in doubles.FILES.items():
            Path(folder, name).write_text(text)
        counts = count(["-m", "pytest", "-s", *COMMON], cwd=folder)
    table.title("One test under pytest with another double")
    for name, value in counts.items():
        table.row(name.removeprefix("test_"), value / 1e6, "M instr." if available() else "ms")
    for ours, theirs, without in doubles.PAIRS:
        one, other, base = (counts[f"test_{name}"] for name in (ours, theirs, without))
        table.row(f"{ours}: test, times other", one / other, "")
        table.row(f"{ours}: its part, times other", (one - base) / (other - base), "")
    both = counts["test_db"] + counts["test_nothing_async"] - counts["test_nothing"]
    table.row("db_async, times db in an async test", counts["test_db_async"] / both, "")


def memory(table: Table, number: int = 10000) -> None:
    """What the queue keeps of each of many tasks that have run."""
    from pytest_backchannel.events import begin_log
    from pytest_backchannel.tasks.queue import TaskQueue

    table.title(f"Memory for a task, of {number:,} in one queue")

    def measure(app: object, kind: str, number: int) -> tuple[float, float]:
        begin_log()
        with TaskQueue(app, result_backend=kind) as queue:
            for n in range(number):
                app.tasks["cost.add"].delay(n, n)
            gc.collect()
            waiting = tracemalloc.get_traced_memory()[0]
            queue.run()
            gc.collect()
            return waiting, tracemalloc.get_traced_memory()[0]

    for kind in BACKENDS:
        app = app_with(kind)
        tracemalloc.start()
        few, many = measure(app, kind, 100), measure(app, kind, number)
        tracemalloc.stop()
        waiting, ran = ((one - other) / (number - 100) / 1000 for one, other in zip(many, few, strict=True))
        table.row(f"{kind}: while it waits", waiting, "kB")
        table.row(f"{kind}: when it has run", ran, "kB", most=3)


def growth(table: Table) -> None:
    """What one of many costs, in a queue of 10,000 beside one of 1,000: 1 is linear."""
    from celery import chord

    from pytest_backchannel.events import begin_log
    from pytest_backchannel.tasks.queue import TaskQueue

    app = app_with("cache")
    add = app.tasks["cost.add"]

    @app.task(name="cost.total", shared=False)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    def cpu(what: Callable[[], object]) -> float:
        gc.collect()
        gc.disable()
        start = time.process_time()
        try:
            what()
            return time.process_time() - start
        finally:
            gc.enable()

    def measure(number: int, order: str = "fifo", **options: object) -> dict[str, float]:
        begin_log()
        with TaskQueue(app, order=order) as queue:
            enqueue = cpu(lambda: [add.apply_async((n, n), **options) for n in range(number)])
            index = cpu(lambda: [queue[n] for n in range(number)])
            asserted = cpu(lambda: queue.assert_enqueued(add, count=number))
            looped = cpu(lambda: [task.args for task in queue])
            failed = cpu(lambda: failure(lambda: queue.assert_enqueued(add.s(-1, -1))))
            found = {"enqueue": enqueue, "task_queue[i]": index, "loop": looped, "assert": asserted}
            return {**found, "text of a failed assert": failed, "run": cpu(queue.run)}

    def failure(what: Callable[[], object]) -> str:
        try:
            what()
        except AssertionError as error:
            return str(error)
        raise SystemExit("an assertion that was to fail has passed")

    def measure_chord(number: int) -> dict[str, float]:
        begin_log()
        with TaskQueue(app) as queue:
            chord([add.s(n, 1) for n in range(number)])(total.s())
            return {"run": cpu(queue.run)}

    cases: dict[str, Callable[[int], dict[str, float]]] = {
        "fifo": measure,
        "random": lambda number: measure(number, "random"),
        "expires": lambda number: measure(number, expires=3600),
        "priority": lambda number: measure(number, priority=5),
        "chord": measure_chord,
    }
    table.title("Growth: one of 10,000, times one of 1,000")
    for case, run in cases.items():
        few, many = run(1000), run(10000)
        for name in few:
            table.row(f"{case}: {name}", (many[name] / 10000) / (few[name] / 1000), "", most=2)


SUITE = """
import pytest
from tasks import add, app

@pytest.mark.parametrize("n", range(600))
def test_plain(n):
    assert n >= 0

@pytest.mark.parametrize("n", range(300))
def test_task(n{tasks}):
    add.delay(n, 1)
    {run}

{socket}
"""
OURS = """
@pytest.mark.asyncio
@pytest.mark.parametrize("n", range(100))
async def test_socket(n, websocket):
    async with websocket(Echo, "/ws/") as ws:
        await ws.send_json({"n": n})
        assert await ws.receive_json() == {"n": n}
"""
THEIRS = """
@pytest.mark.asyncio
@pytest.mark.parametrize("n", range(100))
async def test_socket(n):
    from channels.testing import WebsocketCommunicator
    ws = WebsocketCommunicator(Echo.as_asgi(), "/ws/")
    assert (await ws.connect())[0]
    await ws.send_json_to({"n": n})
    assert await ws.receive_json_from() == {"n": n}
    await ws.disconnect()
"""
ECHO = """
from channels.generic.websocket import AsyncJsonWebsocketConsumer

class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)
"""


def whole_suite(table: Table, rounds: int = 3) -> None:
    """1,000 tests, of which 300 run a task and 100 talk to a consumer, with the doubles and with what there is else."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("cost_settings.py", "tasks.py", "pytest.ini"):
            (folder / file).write_text(suite.FILES[file])
        ours = SUITE.format(tasks=", task_queue", run="task_queue.run()", socket=ECHO + OURS)
        theirs = SUITE.format(tasks=", settings", run="", socket=ECHO + THEIRS)
        theirs = theirs.replace("    add.delay", "    app.conf.task_always_eager = True\n    add.delay")
        (folder / "test_ours.py").write_text(ours)
        (folder / "test_theirs.py").write_text(theirs)
        pairs = []
        for _ in range(rounds):
            pairs.append((seconds(folder, "test_ours.py"), seconds(folder, "test_theirs.py", "-p", "no:backchannel")))
    table.title("A suite of 1,000 tests: 300 with a task, 100 with a WebSocket (processor time)")
    table.row("with task_queue and websocket", statistics.median(one for one, _ in pairs), "s")
    table.row("with eager mode and communicators", statistics.median(other for _, other in pairs), "s")
    table.row("suite, times eager and communicators", statistics.median(a / b for a, b in pairs), "", most=1.5)


def seconds(folder: Path, *arguments: str) -> float:
    """The processor time of one pytest process, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", *COMMON, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the counts there")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if not available():
        print("valgrind is not there: processor time in place of instructions")
    found = Table()
    parts = dict(zip(PARTS, (one_test, under_pytest, nothing, other_doubles, growth, memory, whole_suite), strict=True))
    for part in options.only.split(","):
        parts[part](found)
    if options.json:
        Path(options.json).write_text(json.dumps({"counted": available(), "counts": found.counts}, indent=2) + "\n")
    print(f"\n{'all targets are met' if not found.missed else 'missed: ' + '; '.join(found.missed)}")
