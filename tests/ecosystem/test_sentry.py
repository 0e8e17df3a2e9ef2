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
    CELERY_BEAT_SCHEDULE = {"hourly": {"task": "shop.tasks.add", "schedule": 3600, "args": (1, 1)}}
"""
ASGI = """

from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

application.application_mapping["websocket"] = SentryAsgiMiddleware(application.application_mapping["websocket"])
"""


def test_tasks_run_and_sentry_captures_what_they_raise(library):
    project = library("sentry_sdk")
    project.settings(SETTINGS)
    result = project.test(
        """
        from datetime import timedelta

        import pytest
        import sentry_sdk
        from celery import Celery
        from celery.app import trace
        from celery.app.task import Task
        from config.celery import app
        from config.settings import CAPTURED
        from shop.tasks import add, fail

        # Around the bodies stands, for their time, what watches enqueueing: it is looked at in fixtures.
        @pytest.fixture(scope="module")
        def patched():
            return trace.build_tracer, Task.apply_async, Celery.send_task

        @pytest.fixture
        def now():
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

        def test_a_retry_is_none(patched, task_queue, monkeypatch):
            CAPTURED.clear()

            @app.task(bind=True, name="again", shared=False)
            def again(self):
                if not self.request.retries:
                    raise self.retry(countdown=10)

            again.delay()
            assert task_queue.run_until_idle() == {"RETRY": 1, "SUCCESS": 1}
            sentry_sdk.flush()
            assert CAPTURED == []

        def test_the_beat_schedule(patched, task_queue):
            task_queue.beat(timedelta(hours=2, minutes=1))
            assert len(task_queue.enqueued(add.s(1, 1))) == 2

        def test_an_eager_task_runs(patched, celery_eager):
            assert add.delay(1, 2).get() == 3

        def test_its_patches_stand(patched, now):
            assert now == patched
            assert trace.build_tracer.__module__.startswith("sentry_sdk")
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=6)


def test_its_middleware_around_consumers(library):
    project = library("sentry_sdk")
    project.settings(SETTINGS)
    module = project.path / "config" / "asgi.py"
    module.write_text(module.read_text() + ASGI)
    result = project.test(
        """
        import pytest
        import sentry_sdk
        from config.settings import CAPTURED

        pytestmark = pytest.mark.asyncio

        async def test_frames(websocket):
            async with websocket("/ws/echo/") as browser:
                await browser.send_json({"text": "hello"})
                assert await browser.receive_json() == {"text": "hello"}

        async def test_a_crash_is_raised_and_captured(websocket):
            with pytest.raises(KeyError, match="text"):
                async with websocket("/ws/rooms/7/") as browser:
                    await browser.send_json({})
                    await browser.receive_json()
            sentry_sdk.flush()
            assert CAPTURED[-1]["exception"]["values"][-1]["type"] == "KeyError"

        async def test_its_routes_are_seen(db, websocket_matrix, django_user_model):
            user = await django_user_model.objects.acreate(username="ann")
            matrix = await websocket_matrix(user)
            assert {"/ws/echo/", "/ws/rooms/<str:room>/"} <= matrix.anonymous
        """
    )
    result.assert_outcomes(passed=3)
