"""The same test against the stepped worker and against real brokers with a real worker process."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""
TASKS = """
from celery import Task


@shared_task(acks_late=True)
def charge(order_id):
    Order.objects.create(reference=f"charged {order_id}")


@shared_task
def charge_early(order_id):
    Order.objects.create(reference=f"charged {order_id}")


@shared_task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return "fine"


@shared_task
def takes_nothing():
    pass


class Failing(Task):
    def on_failure(self, *args):
        raise RuntimeError("the handler is broken")

    on_success = on_failure


@shared_task(base=Failing)
def handled(fails):
    if fails:
        raise ValueError("out of paper")


@shared_task
def outer():
    add.apply_async((1, 1), queue="other")
"""
TESTS = """
    import pytest
    from celery import chain, chord
    from shop.models import Order
    from shop.tasks import add, charge, charge_early, confirm_order, fail, flaky, outer

    pytestmark = pytest.mark.task_queue(broker=["stepped", "redis", "rabbitmq"])

    def test_enqueue_and_run(db, task_queue):
        order = Order.objects.create(reference="A")
        confirm_order.delay(order.pk)
        assert task_queue.assert_enqueued(confirm_order.s(order.pk)).where.line == 11
        order.refresh_from_db()
        assert not order.confirmed and len(task_queue) == 1
        assert task_queue.run() == {"SUCCESS": 1}
        order.refresh_from_db()
        assert order.confirmed
        task_queue.assert_empty()
        assert [done.result for done in task_queue.succeeded] == [order.pk]

    def test_failure_propagates(db, task_queue):
        fail.delay("out of paper")
        add.delay(1, 1)
        with pytest.raises(ValueError, match="out of paper"):
            task_queue.run()

    def test_failure_recorded(db, task_queue):
        fail.delay("out of paper")
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        assert str(task_queue.failures[0].exception) == "out of paper"

    @pytest.mark.django_db
    def test_workflow(task_queue):
        result = chain(add.s(1, 1), add.s(2)).delay()
        task_queue.run()
        assert result.get() == 4

    def test_get_runs_the_worker(db, task_queue):
        assert add.delay(1, 2).get() == 3

    def test_retries(db, task_queue):
        flaky.delay()
        task_queue.run_until_idle()
        assert [round(retry.countdown, 1) for retry in task_queue.retries] == [0.2, 0.2]

    def test_a_task_of_a_task_in_another_queue(db, task_queue):
        outer.delay()
        assert task_queue.run() == {"SUCCESS": 2}

    def test_killed_after_the_body_early_ack(db, task_queue):
        task_queue.kill_worker(when="before_body")
        charge_early.delay(1)
        assert task_queue.run() == {}
        assert Order.objects.count() == 0
        assert task_queue.outcomes == []

    @pytest.mark.task_queue(profile="rabbitmq")
    def test_killed_after_the_body_late_ack(db, task_queue, request):
        if "redis" in request.node.name:
            pytest.skip("redelivered after the visibility timeout")
        task_queue.kill_worker(when="after_body")
        charge.delay(1)
        assert task_queue.run() == {"SUCCESS": 1}
        assert Order.objects.count() == 2

    @pytest.mark.task_queue(profile="redis", visibility_timeout=1)
    def test_visibility_timeout(db, task_queue, request):
        if "rabbitmq" in request.node.name:
            pytest.skip("of Redis")
        task_queue.kill_worker(when="before_body")
        charge.delay(1)
        task_queue.run()
        task_queue.advance(2 if "stepped" not in request.node.name else 200)
        assert Order.objects.count() == 1

    def test_child_lost(db, task_queue):
        task_queue.lose_child(when="before_body")
        charge.delay(1)
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        assert type(task_queue.failures[0].exception).__name__ == "WorkerLostError"

    def test_hours(db, task_queue):
        add.apply_async((1, 2), countdown=3600)
        task_queue.run()
        assert len(task_queue) == 1
        task_queue.advance(3600)
        assert len(task_queue) == 0

    @pytest.mark.asyncio
    async def test_async(db, task_queue):
        await Order.objects.acreate(reference="A")
        add.delay(1, 2)
        assert await task_queue.arun() == {"SUCCESS": 1}

    @pytest.mark.task_queue(broker="redis")
    def test_one_broker(db, task_queue):
        add.delay(1, 2)
        assert task_queue.run() == {"SUCCESS": 1}
"""
HANDLERS = """
    import pytest
    from shop.tasks import fail, handled, takes_nothing

    pytestmark = pytest.mark.task_queue(broker=["stepped", "redis", "rabbitmq"])

    @pytest.mark.allow_lost("handler_failed")
    def test_an_errback_that_does_not_fit(db, task_queue):
        fail.apply_async(("out of paper",), link_error=takes_nothing.s())
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        [failure] = task_queue.failures
        assert str(failure.exception) == "out of paper"
        [handler] = failure.handlers
        assert handler.handler == "the errback shop.tasks.takes_nothing"
        assert type(handler.exception) is TypeError

    @pytest.mark.parametrize("fails", [True, False])
    def test_a_handler_that_fails(db, task_queue, fails):
        handled.delay(fails)
        task_queue.run(propagate=False)
        failure = task_queue.failures[-1]
        assert [(h.handler, str(h.exception)) for h in failure.handlers] == [
            ("on_failure" if fails else "on_success", "the handler is broken")
        ]
        assert str(failure.exception) == ("out of paper" if fails else "the handler is broken")
"""


def project_with_tasks(project):
    project.settings(FILE_DATABASE)
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + TASKS)


def test_one_body_at_three_levels(project):
    project_with_tasks(project)
    result = project.test(TESTS, "-rs", "--durations=25")
    result.assert_outcomes(passed=36, skipped=4)
    result.stdout.fnmatch_lines(
        ["*SKIPPED*task_queue.advance(3600) would take 3600 s of real time with a real broker, and 5 s is the limit*"]
    )


def test_the_fast_job_leaves_the_real_ones_out(project):
    project_with_tasks(project)
    result = project.test(TESTS, "-m", "not celery_integration")
    result.assert_outcomes(passed=13, deselected=27)


def test_handlers_that_fail_are_told_alike(project):
    project_with_tasks(project)
    project.test(HANDLERS).assert_outcomes(passed=9)


CHOOSING = """
    import pytest
    from shop.tasks import add

    pytestmark = pytest.mark.task_queue(broker=["stepped", "redis", "rabbitmq"])

    def test_one_queue_after_the_other(db, task_queue):
        add.apply_async((1, 1), queue="slow")
        add.apply_async((2, 2), queue="mail")
        assert task_queue.run(queue="mail") == {"SUCCESS": 1}
        assert [task.queue for task in task_queue] == ["slow"]
        assert task_queue.run() == {"SUCCESS": 1}

    def test_one_task(db, task_queue):
        add.delay(1, 1)
        assert task_queue.run(only=add) == {"SUCCESS": 1}
"""


def test_a_real_worker_serves_one_queue_and_can_not_choose_a_task(project):
    project_with_tasks(project)
    result = project.test(CHOOSING, "-rs")
    result.assert_outcomes(passed=4, skipped=2)
    result.stdout.fnmatch_lines(["*task_queue.run(only=*) can't be had with a real broker: a worker process takes*"])
