"""What one test with a task costs: the stepped worker beside eager mode, celery.contrib's worker, and a real worker.

    python benchmarks/tasks.py [--tasks 2000] [--rounds 20]

For each way of running a task: how long it takes to start, how many tasks a second it runs once started, how long it
takes to stop, and what a whole test costs that starts it, runs one task and stops it. The ratios at the end are of this
one run; the seconds are this machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from celery import Celery

APP = """
import os
from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_URL"])

@app.task(name="bench.add")
def add(x, y):
    return x + y
"""

Run = Callable[[int], float]


@dataclass
class Row:
    """The figures of one way of running a task, in seconds and in tasks a second."""

    name: str
    start: float
    rate: float
    stop: float
    whole: float


def new_app(url: str) -> Celery:
    """A fresh app with one task."""
    app = Celery(
        "bench", broker=url, backend=url if url.startswith("redis") else "cache+memory://", set_as_current=False
    )

    @app.task(name="bench.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    app.finalize()
    return app


def rate(app: Celery, count: int, drain: Callable[[], object] = lambda: None) -> float:
    """How many tasks a second are enqueued, run and seen to have ended."""
    add = app.tasks["bench.add"]
    start = time.perf_counter()
    results = [add.delay(n, n) for n in range(count)]
    drain()
    assert [result.get(timeout=120) for result in results] == [2 * n for n in range(count)]
    return count / (time.perf_counter() - start)


@contextlib.contextmanager
def eager() -> Iterator[Run]:
    """Celery's own eager mode."""
    app = new_app("memory://")
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield lambda count: rate(app, count)


@contextlib.contextmanager
def stepped() -> Iterator[Run]:
    """The real worker, stepped in this thread."""
    from pytest_backchannel.tasks.queue import TaskQueue

    app = STEPPED_APP
    with TaskQueue(app) as queue:
        yield lambda count: rate(app, count, queue.run)


@contextlib.contextmanager
def start_worker() -> Iterator[Run]:
    """celery.contrib.testing's worker, in a thread, on kombu's memory transport."""
    from celery.contrib.testing.worker import start_worker

    app = new_app("memory://")
    with start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR", shutdown_timeout=60):
        yield lambda count: rate(app, count)


@contextlib.contextmanager
def real_worker() -> Iterator[Run]:
    """A worker process on a real Redis (started before, and not counted)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bench_app.py").write_text(APP)
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "bench_app", "worker", "-c", "1", "-l", "ERROR"],
            cwd=folder,
            env={**os.environ, "BENCH_URL": REDIS_URL},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        app = new_app(REDIS_URL)
        try:
            app.tasks["bench.add"].delay(1, 1).get(timeout=60)  # started is: it answers
            yield lambda count: rate(app, count)
        finally:
            process.terminate()
            process.wait(60)
            app.close()


def measure(name: str, way: Callable[[], AbstractContextManager[Run]], rounds: int, tasks: int) -> Row:
    """Start, run and stop several times; the medians."""
    starts, stops, wholes, rates = [], [], [], []
    with way() as run:
        run(1)  # a round that is not counted: imports, and Celery's own caches
    for number in range(rounds):
        before = time.perf_counter()
        context = way()
        run = context.__enter__()
        started = time.perf_counter()
        run(1)
        ran = time.perf_counter()
        if number < 3:
            rates.append(run(tasks))
        stopping = time.perf_counter()
        context.__exit__(None, None, None)
        stopped = time.perf_counter()
        starts.append(started - before)
        stops.append(stopped - stopping)
        wholes.append((ran - before) + (stopped - stopping))
    middle = statistics.median
    return Row(name, middle(starts), middle(rates), middle(stops), middle(wholes))


def show(rows: list[Row]) -> None:
    """Print the table and the ratios that are claimed."""
    print(f"{'':32}{'start':>12}{'tasks/s':>12}{'stop':>12}{'one test':>12}")
    for row in rows:
        print(
            f"{row.name:32}{row.start * 1e3:9.2f} ms{row.rate:12.0f}{row.stop * 1e3:9.2f} ms{row.whole * 1e3:9.2f} ms"
        )
    by_name = {row.name: row for row in rows}
    ours = by_name["task_queue"]
    print(f"\nrate, of eager mode's: {ours.rate / by_name['eager'].rate:.2f}")
    for other in rows[2:]:
        print(f"one test, times faster than {other.name}: {other.whole / ours.whole:.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    STEPPED_APP = new_app("redis://127.0.0.1:1/0")
    from pytest_backchannel.servers.brokers.redis import start_redis

    with contextlib.closing(start_redis()) as redis:
        REDIS_URL = redis.url
        show(
            [
                measure("eager", eager, options.rounds, options.tasks),
                measure("task_queue", stepped, options.rounds, options.tasks),
                measure("start_worker", start_worker, 3, options.tasks // 10),
                measure("worker process on Redis", real_worker, 3, options.tasks // 4),
            ]
        )
