"""The faults that the stepped worker only plays, and what a real broker and worker make of the same."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""
TASKS = """
from celery.exceptions import SoftTimeLimitExceeded


def ask_the_bank():
    return "paid"


@shared_task(soft_time_limit=1)
def check_patiently():
    try:
        return ask_the_bank()
    except SoftTimeLimitExceeded:
        return "cut short"


@shared_task(time_limit=1)
def check_at_length():
    return ask_the_bank()


@shared_task(acks_late=True, reject_on_worker_lost=True)
def poison():
    Order.objects.create(reference="poisoned")
"""
# A plain function, which runs in the worker process alone: there the bank is slow in real time.
SETUP = """
import time

from shop import tasks


def slow_bank():
    tasks.ask_the_bank = lambda: time.sleep(4)
"""
TESTS = """
    import pytest
    from shop.models import Order
    from shop.tasks import add, ask_the_bank, check_at_length, check_patiently, poison

    each = pytest.mark.task_queue(broker=["stepped", "redis", "rabbitmq"])
    slow_bank = pytest.mark.task_queue(broker=["stepped", "redis", "rabbitmq"], setup="shop.bank:slow_bank")

    def make_slow(task_queue, request):
        if "stepped" in request.node.name:
            task_queue.slow(ask_the_bank, 4)

    @slow_bank
    def test_soft(db, task_queue, request):
        make_slow(task_queue, request)
        result = check_patiently.delay()
        task_queue.run()
        assert result.get() == "cut short"

    @slow_bank
    def test_hard(db, task_queue, request):
        make_slow(task_queue, request)
        check_at_length.delay()
        task_queue.run(propagate=False)
        assert [type(failure.exception).__name__ for failure in task_queue.failures] == ["TimeLimitExceeded"]

    @each
    @pytest.mark.allow_lost("expired_task")
    def test_behind(db, task_queue):
        add.apply_async((1, 1), expires=1)
        add.apply_async((2, 2), expires=60)
        task_queue.run(after=2)
        assert [done.result for done in task_queue.succeeded] == [4]
        task_queue.assert_empty()

    @each
    def test_poison(db, task_queue):
        task_queue.lose_child("after_body", times=3)
        poison.delay()
        assert task_queue.run() == {"SUCCESS": 1}
        assert Order.objects.count() == 4
"""


def test_they_end_alike(project):
    project.settings(FILE_DATABASE)
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + TASKS)
    project.write("shop/bank.py", SETUP)
    project.test(TESTS, "-rs", "--durations=5").assert_outcomes(passed=12)
