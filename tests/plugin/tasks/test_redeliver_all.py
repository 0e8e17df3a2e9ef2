"""``backchannel_redeliver_all``: every message of the suite comes twice, where a test does not say otherwise."""

from __future__ import annotations

import pytest

SUITE = """
    import pytest
    from shop.models import Order
    from shop.tasks import add, charge, flaky, mark

    def test_idempotent(db, task_queue):
        order = Order.objects.create(reference="7")
        mark.delay(order.pk)
        task_queue.run()
        assert Order.objects.get().confirmed

    def test_not_idempotent(db, task_queue):
        charge.delay(7)
        task_queue.run()
        assert Order.objects.filter(reference="charged 7").count() == 1

    @pytest.mark.task_queue(redeliver_all=False)
    def test_that_counts(task_queue):
        add.delay(1, 2)
        assert task_queue.run() == {"SUCCESS": 1}

    def test_retries(task_queue):
        flaky.delay()
        task_queue.run_until_idle()
        assert len(task_queue.retries) in (2, 4)

    def test_eager(celery_eager, db):
        charge.delay(8)
        assert Order.objects.filter(reference="charged 8").count() == 1
"""
TASKS = """

@shared_task(acks_late=True)
def late():
    pass


@shared_task
def mark(order_id):
    Order.objects.filter(pk=order_id).update(confirmed=True)


@shared_task
def charge(order_id):
    Order.objects.create(reference=f"charged {order_id}")


@shared_task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=10)
"""


@pytest.fixture
def suite(project):
    path = project.path / "shop" / "tasks.py"
    path.write_text(path.read_text() + TASKS)
    project.write("test_it.py", SUITE)
    return project


def test_without_it_all_is_well(suite):
    suite.run().assert_outcomes(passed=5)


def test_what_does_not_stand_a_second_delivery_fails_and_its_story_says_why(suite):
    suite.ini("backchannel_redeliver_all = true")
    result = suite.run()
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        ["*test_not_idempotent*", "*assert 2 == 1*", "*Behind the request*", "*delivered once more*"]
    )


def test_for_one_run(suite):
    suite.run("-o", "backchannel_redeliver_all=true").assert_outcomes(passed=4, failed=1)


def test_it_is_the_default_of_the_marker_and_yields_to_it(suite):
    suite.ini("backchannel_redeliver_all = true")
    text = """
        import pytest
        from shop.tasks import add, late

        pytestmark = pytest.mark.task_queue(queues=["celery"])

        def test_twice(task_queue):
            add.delay(1, 2)
            assert task_queue.run() == {"SUCCESS": 2}

        @pytest.mark.task_queue(redeliver_all=False)
        def test_once(task_queue):
            add.delay(1, 2)
            assert task_queue.run() == {"SUCCESS": 1}

        def test_a_message_that_comes_again_anyway(task_queue):
            task_queue.kill_worker(when="after_body")
            late.delay()
            task_queue.run_until_idle()
            started = [event for event in task_queue.events if type(event).__name__ == "BodyStarted"]
            assert len(started) == 2
    """
    suite.test(text).assert_outcomes(passed=3)


def test_a_wrong_value(project):
    project.ini("backchannel_redeliver_all = twice")
    result = project.test("def test_one(): pass")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*backchannel_redeliver_all: invalid truth value 'twice': give true or false*"])
