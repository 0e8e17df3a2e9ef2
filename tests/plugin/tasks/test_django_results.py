"""django-celery-results: the stepped worker and eager mode write its rows in the test's own transaction."""

from __future__ import annotations

import pytest

pytest.importorskip("django_celery_results")

SETTINGS = """
    INSTALLED_APPS += ["django_celery_results"]
    CELERY_RESULT_BACKEND = "django-db"
    CELERY_RESULT_EXTENDED = True
    CELERY_TASK_TRACK_STARTED = True
"""


def test_the_rows_of_the_stepped_worker_and_of_eager_mode(project):
    project.settings(SETTINGS)
    result = project.test(
        """
        import json
        import pytest
        from celery import chord, group
        from celery.result import AsyncResult, GroupResult
        from config.celery import app
        from django.db import connection
        from django_celery_results.models import ChordCounter, TaskResult
        from shop.models import Order
        from shop.tasks import add, confirm_order, fail

        @app.task
        def total(numbers, more):
            return sum(numbers) + more

        def test_a_row_and_what_it_says(db, task_queue):
            result = add.delay(1, y=2)
            assert TaskResult.objects.count() == 0
            assert result.get() == 3
            row = TaskResult.objects.get()
            assert (row.task_id, row.status, row.result) == (result.id, "SUCCESS", "3")
            assert row.task_name == add.name
            assert (json.loads(row.task_args), json.loads(row.task_kwargs)) == ("(1,)", "{'y': 2}")
            assert row.date_started is not None
            assert connection.in_atomic_block
            assert AsyncResult(result.id).result == 3
            assert AsyncResult(result.id).args == "(1,)"

        def test_b_a_failure(db, task_queue):
            result = fail.delay("broken")
            task_queue.run(propagate=False)
            row = TaskResult.objects.get()
            assert (row.status, json.loads(row.result)["exc_message"]) == ("FAILURE", ["broken"])
            assert "ValueError: broken" in row.traceback
            with pytest.raises(ValueError, match="broken"):
                result.get()

        def test_c_nothing_is_left_of_it(db):
            assert TaskResult.objects.count() == 0

        def test_d_a_chord_counts_in_the_database(db, task_queue):
            result = chord([add.s(1, 1), add.s(2, 2)])(total.s(6))
            task_queue.run_one()
            assert ChordCounter.objects.get().count == 1
            assert result.get() == 12
            assert ChordCounter.objects.count() == 0
            assert TaskResult.objects.count() == 3

        def test_e_a_group(db, task_queue):
            result = group(add.s(1, 1), add.s(2, 2)).apply_async()
            result.save()
            assert result.get() == [2, 4]
            assert GroupResult.restore(result.id).get() == [2, 4]

        @pytest.mark.asyncio
        async def test_f_async(db, task_queue):
            add.delay(1, 1)
            await task_queue.arun()
            assert await TaskResult.objects.acount() == 1

        def test_g_eager_mode_stores_what_celery_stores(db, celery_eager, monkeypatch):
            add.delay(1, 1)
            assert TaskResult.objects.count() == 0
            monkeypatch.setattr(add, "store_eager_result", True)
            result = add.delay(1, 1)
            assert TaskResult.objects.get().task_id == result.id

        def test_h_ignored(db, task_queue):
            add.apply_async((1, 1), ignore_result=True)
            task_queue.run()
            assert not TaskResult.objects.exclude(status="STARTED").exists()  # celery 5.5 stores that it has begun

        def test_i_a_test_without_a_database(task_queue):
            add.delay(1, 1)
            task_queue.run()
        """
    )
    result.stdout.fnmatch_lines(["*The worker stores the results of tasks in the database*"])
    result.assert_outcomes(passed=8, failed=1)


def test_the_cache_of_django(project):
    project.settings(SETTINGS + '\n    CELERY_RESULT_BACKEND = "django-cache"\n')
    result = project.test(
        """
        from celery import chord
        from config.celery import app
        from shop.tasks import add

        def test_it(db, task_queue):
            result = add.delay(1, 2)
            assert result.get() == 3
            assert type(app.backend).__name__ == "SteppedCacheBackend"

        def test_a_chord_polls(db, task_queue):
            chord([add.s(1, 1), add.s(2, 2)])(add.si(5, 6))
            task_queue.run_until_idle()
            assert [outcome.result for outcome in task_queue.succeeded if outcome.name == add.name][-1] == 11
        """
    )
    result.assert_outcomes(passed=2)


def test_it_is_replaced_where_the_tests_settings_do_not_have_it(project):
    project.settings('CELERY_RESULT_BACKEND = "django-db"')
    result = project.test(
        """
        from shop.tasks import add

        def test_it(task_queue):
            assert add.delay(1, 2).get() == 3
        """
    )
    result.assert_outcomes(passed=1)
