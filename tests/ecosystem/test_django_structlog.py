"""django-structlog, which binds to the task what was bound in the request that enqueued it."""

from __future__ import annotations

SETTINGS = """
    INSTALLED_APPS += ["django_structlog"]
    MIDDLEWARE += ["django_structlog.middlewares.RequestMiddleware"]
    DJANGO_STRUCTLOG_CELERY_ENABLED = True
    DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
"""
CELERY = """
    from django_structlog.celery.steps import DjangoStructLogInitStep

    app.steps["worker"].add(DjangoStructLogInitStep)
"""


def test_the_context_of_the_request_is_bound_in_the_task(library):
    project = library("django_structlog")
    project.settings(SETTINGS)
    module = project.path / "config" / "celery.py"
    project.write("config/celery.py", module.read_text() + CELERY.replace("\n    ", "\n"))
    project.write(
        "shop/tasks.py",
        """
        import structlog
        from celery import shared_task

        BOUND = []

        @shared_task
        def confirm_order(order_id):
            BOUND.append(structlog.contextvars.get_contextvars())
        """,
    )
    result = project.test(
        """
        from celery import signals
        from shop.tasks import BOUND
        from structlog.testing import capture_logs

        def test_on_the_stepped_worker(db, client, task_queue):
            before = [len(getattr(signals, name).receivers) for name in ("task_prerun", "before_task_publish")]
            with capture_logs() as logs:
                client.post("/orders/7/confirm/", headers={"x-request-id": "abc"})
                (task,) = task_queue
                task_queue.run()
            (bound,) = BOUND
            assert bound["request_id"] == "abc"
            assert bound["task_id"] == task.id
            assert [log["event"] for log in logs if log["event"].startswith("task_")] == [
                "task_enqueued", "task_started", "task_succeeded",
            ]
            # The worker's receivers are not for the rest of the process.
            assert [len(getattr(signals, name).receivers) for name in ("task_prerun", "before_task_publish")] == before
        """
    )
    result.assert_outcomes(passed=1)
