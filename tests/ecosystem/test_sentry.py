"""Sentry's integration, set up in the settings as its documentation says."""

from __future__ import annotations

SETTINGS = """
    import sentry_sdk
    from sentry_sdk.transport import Transport

    CAPTURED = []

    class Kept(Transport):
        def capture_envelope(self, envelope):
            CAPTURED.extend(item.payload.json for item in envelope.items if item.type == "event")

    sentry_sdk.init(dsn="https://public@sentry.invalid/1", transport=Kept)
"""


def test_tasks_run_and_sentry_captures_what_they_raise(library):
    project = library("sentry_sdk")
    project.settings(SETTINGS)
    result = project.test(
        """
        import pytest
        import sentry_sdk
        from celery import Celery
        from celery.app import trace
        from celery.app.task import Task
        from config.settings import CAPTURED
        from shop.tasks import add, fail

        @pytest.fixture(scope="module")
        def patched():
            return trace.build_tracer, Task.apply_async, Celery.send_task

        def test_a_task_runs(patched, task_queue):
            result = add.delay(1, 2)
            task_queue.run_one()
            assert result.get() == 3
            task_queue.assert_empty()

        def test_a_failure_is_captured(patched, task_queue):
            fail.delay("no paper")
            task_queue.run(propagate=False)
            (failure,) = task_queue.failures
            assert str(failure.exception) == "no paper"
            sentry_sdk.flush()
            (event,) = CAPTURED
            assert event["exception"]["values"][-1]["value"] == "no paper"
            assert event["extra"]["celery-job"]["task_name"] == "shop.tasks.fail"

        def test_an_eager_task_runs(patched, celery_eager):
            assert add.delay(1, 2).get() == 3

        def test_its_patches_stand(patched):
            assert (trace.build_tracer, Task.apply_async, Celery.send_task) == patched
            assert trace.build_tracer.__module__.startswith("sentry_sdk")
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=4)
