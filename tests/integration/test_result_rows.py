"""The rows of django-celery-results: the same tasks leave the same ones on the stepped and on a real worker."""

from __future__ import annotations

import pytest

pytest.importorskip("django_celery_results")
pytestmark = pytest.mark.celery_integration

SETTINGS = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
    INSTALLED_APPS += ["django_celery_results"]
    CELERY_RESULT_BACKEND = "django-db"
    CELERY_RESULT_EXTENDED = True
    CELERY_TASK_TRACK_STARTED = True
"""


def test_they_are_equal_but_for_times_and_ids(project):
    project.settings(SETTINGS)
    with (project.path / "shop" / "tasks.py").open("a") as tasks:
        tasks.write(
            """
@shared_task
def total(numbers, more=0):
    return sum(numbers) + more

@shared_task(bind=True, max_retries=1)
def retrying(self):
    raise self.retry(countdown=0)

@shared_task(ignore_result=True)
def ignored():
    return 1
"""
        )
    result = project.test(
        """
        import json
        import re
        import pytest
        from celery import chain, chord, group
        from django_celery_results.models import ChordCounter, TaskResult
        from shop.tasks import add, fail, ignored, retrying, total

        FIELDS = ("task_name", "task_args", "task_kwargs", "status", "content_type", "content_encoding", "result",
                  "periodic_task_name")
        UUID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
        found = {}

        def rows():
            rows = []
            for row in TaskResult.objects.all():
                values = {name: getattr(row, name) for name in FIELDS}
                values["meta"] = sorted(json.loads(row.meta)), len(json.loads(row.meta).get("children") or [])
                values["traceback"] = (row.traceback or "").strip().splitlines()[-1:]
                values["started"] = row.date_started is not None
                values = {name: UUID.sub("id", repr(value)) for name, value in values.items()}
                rows.append(values)
            return sorted(rows, key=repr), ChordCounter.objects.count()

        def play():
            results = [
                add.delay(1, y=2),
                fail.delay("broken"),
                retrying.delay(),
                chain(add.s(1, 1), add.s(3)).delay(),
                chord([add.s(1, 1), add.s(2, 2)], total.s(more=1)).delay(),
                group(add.s(4, 4), add.s(5, 5)).delay(),
                chord([add.s(1, 1), fail.s("in the header")], total.s()).delay(),
                add.apply_async((7, 7), headers={"periodic_task_name": "seven"}),
            ]
            ignored.delay()
            for result in results:
                result.get(timeout=30, propagate=False)

        def test_a_stepped(db, task_queue):
            play()
            task_queue.run(propagate=False)
            assert len(task_queue.failures) == 3
            found["stepped"] = rows()

        def test_b_real(worker_process, transactional_db):
            worker_process()
            play()
            found["real"] = rows()

        def test_c_equal():
            assert len(found["stepped"][0]) == 14
            for stepped, real in zip(found["stepped"][0], found["real"][0], strict=True):
                assert stepped == real
            assert found["stepped"] == found["real"]
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=3)
