"""What one test does, without pytest around it; run by benchmarks/cost.py."""

from __future__ import annotations

import logging

from celery import Celery

from counting.counter import Counter, repeat
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

BACKENDS = {"cache": "cache+memory://", "redis": "redis://127.0.0.1:1/0"}
FURTHER = 20


def app_with(backend: str, **settings: object) -> Celery:
    """An app with one task."""
    app = Celery(
        "cost", broker="redis://127.0.0.1:1/0", backend=BACKENDS[backend], set_as_current=False,
    )  # fmt: skip
    app.conf.update(settings)

    @app.task(name="cost.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    app.finalize()
    return app


def measure(counter: Counter, backend: str) -> None:
    """Count what a test with each of these bodies costs."""
    app = app_with(backend)
    add = app.tasks["cost.add"]

    def unused() -> None:
        begin_log()
        with TaskQueue(app, result_backend=backend):
            pass

    def enqueued() -> None:
        begin_log()
        with TaskQueue(app, result_backend=backend) as queue:
            add.delay(1, 2)
            queue.assert_enqueued(add.s(1, 2))

    def ran(tasks: int = 1) -> None:
        begin_log()
        with TaskQueue(app, result_backend=backend) as queue:
            for _ in range(tasks):
                add.delay(1, 2)
            queue.run()
            assert len(queue.succeeded) == tasks

    repeat(counter, f"{backend} unused", unused)
    repeat(counter, f"{backend} assert only", enqueued)
    repeat(counter, f"{backend} one task", ran)
    repeat(counter, f"{backend} many tasks", lambda: ran(1 + FURTHER), times=3, warm=2)


def measure_eager(counter: Counter) -> None:
    """Count an eager call, whose result is stored, and one whose result is not."""
    for name, stored in (("eager", True), ("eager, not stored", False)):
        app = app_with("cache", task_always_eager=True, task_store_eager_result=stored, task_eager_propagates=True)
        add = app.tasks["cost.add"]
        repeat(counter, name, lambda: add.delay(1, 2).get())  # noqa: B023


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    counter = Counter()
    for kind in BACKENDS:
        measure(counter, kind)
    measure_eager(counter)
    counter.save()
