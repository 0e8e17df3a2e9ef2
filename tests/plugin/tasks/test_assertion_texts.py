"""What a failed expectation of task_queue says, with the project's own lines."""

from __future__ import annotations


def test_the_text_of_a_failure(project):
    result = project.test(
        """
        import pytest
        from shop.models import Order
        from shop.tasks import add, confirm_order

        def test_another_argument(client, db, task_queue):
            client.get("/orders/7/confirm/")
            add.delay(1, 2)
            task_queue.assert_enqueued(confirm_order.s(8).set(queue="mail"))

        def test_it_has_run(db, task_queue):
            confirm_order.delay(7)
            task_queue.run()
            task_queue.assert_enqueued(confirm_order.s(7))

        def test_nothing(task_queue):
            task_queue.assert_enqueued(confirm_order.s(7))

        def test_too_often(task_queue):
            add.delay(1, 2)
            add.delay(1, 2)
            task_queue.assert_enqueued(add, count=1)

        def test_should_not(task_queue):
            add.delay(1, 2)
            task_queue.assert_not_enqueued(add.s(1, y=2))

        def test_should_be_empty(task_queue):
            add.delay(1, 2)
            task_queue.assert_empty()

        def test_result_for_a_signature(task_queue):
            task_queue.assert_enqueued(add.delay(1, 2))
        """,
        "--tb=short",
    )
    result.assert_outcomes(failed=7)
    text = "\n".join(line.rstrip() for line in result.outlines)
    for expected in (
        """\
E   pytest_backchannel.errors.BackchannelFailure: Not enqueued: shop.tasks.confirm_order(8) queue='mail'
E
E   2 messages wait in 'celery'. The nearest:
E
E     shop.tasks.confirm_order(7) in 'celery' — enqueued at shop/views.py:9
E       ✗ order_id: wanted 8, found 7
E       ✗ queue: wanted 'mail', found 'celery'
E
E     also waiting: 1 × shop.tasks.add""",
        """\
E   pytest_backchannel.errors.BackchannelFailure: Not enqueued: shop.tasks.confirm_order(7)
E
E   No message waits.
E
E   It was enqueued once (test_it.py:12), but has run already.""",
        "BackchannelFailure: Enqueued twice, wanted once: shop.tasks.add\n",
        "BackchannelFailure: Enqueued, and should not be: shop.tasks.add(1, y=2)\n",
        "BackchannelFailure: 1 message waits, none should:\n",
        "BadExpectation: <AsyncResult: ",
    ):
        assert expected in text, text
    # The frames shown are the test's own.
    assert "matching.py" not in text
    assert "queue.py" not in text
