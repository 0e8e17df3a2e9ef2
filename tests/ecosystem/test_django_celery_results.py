"""django-celery-results: the rows of results that a worker writes."""

from __future__ import annotations

SETTINGS = """
    INSTALLED_APPS += ["django_celery_results"]
    CELERY_RESULT_BACKEND = "django-db"
    CELERY_RESULT_EXTENDED = True
    CELERY_TASK_STORE_EAGER_RESULT = True
"""


def test_rows_are_written_in_the_transaction_of_the_test(library):
    project = library("django_celery_results")
    project.settings(SETTINGS)
    result = project.test(
        """
        import pytest
        from celery import chord
        from django_celery_results.models import ChordCounter, TaskResult
        from shop.tasks import add, fail

        def rows():
            return list(TaskResult.objects.order_by("task_name").values_list("task_name", "status"))

        def test_on_the_stepped_worker(db, task_queue):
            result = add.delay(1, 2)
            fail.delay()
            task_queue.run(propagate=False)
            assert result.get() == 3
            assert task_queue.failures
            assert rows() == [("shop.tasks.add", "SUCCESS"), ("shop.tasks.fail", "FAILURE")]

        def test_a_chord(db, task_queue):
            result = chord([add.s(1, 1), add.s(2, 2)])(tsum.s())
            assert ChordCounter.objects.count() == 1
            task_queue.run()
            assert result.get() == 6
            assert ChordCounter.objects.count() == 0

        def test_in_eager_mode(db, celery_eager):
            assert add.delay(1, 2).get() == 3
            assert rows() == [("shop.tasks.add", "SUCCESS")]

        def test_no_row_is_left(db):
            assert rows() == []

        from celery import shared_task

        @shared_task
        def tsum(numbers):
            return sum(numbers)
        """
    )
    result.assert_outcomes(passed=4)
