"""New Relic's agent, set up before Celery is imported, as its documentation says."""

from __future__ import annotations

SETUP = """
    import newrelic.agent

    newrelic.agent.initialize("newrelic.ini")
    newrelic.agent.register_application(timeout=10)  # in developer mode it reaches nobody

    from .celery import app as celery_app
"""
INI = """
    [newrelic]
    app_name = shop
    developer_mode = true
    log_level = error
"""
TASKS = """
    import newrelic.agent
    from shop.tasks import shared_task

    @shared_task
    def watched():
        transaction = newrelic.agent.current_transaction()
        return [transaction.name, transaction.background_task]

    @shared_task(bind=True, max_retries=1)
    def stubborn(self):
        if not self.request.retries:
            raise self.retry(countdown=10)
        return "done"
"""


def test_tasks_run_as_background_transactions_of_new_relic(library):
    project = library("newrelic")
    project.write("newrelic.ini", INI)
    project.write("config/__init__.py", SETUP)
    project.write("shop/watched.py", TASKS)
    result = project.test(
        """
        import pytest
        from celery.app import trace
        from shop.watched import stubborn, watched

        @pytest.fixture(scope="module")
        def patched():
            return trace.build_tracer

        def test_on_the_stepped_worker(patched, task_queue):
            result = watched.delay()
            task_queue.run()
            assert result.get() == ["shop.watched.watched", True]

        def test_a_retry(patched, task_queue):
            result = stubborn.delay()
            assert task_queue.run_until_idle() == {"RETRY": 1, "SUCCESS": 1}
            assert result.get() == "done"

        def test_in_eager_mode(patched, celery_eager):
            assert watched.delay().get() == ["shop.watched.watched", True]

        def test_its_wrapper_stands(patched):
            assert trace.build_tracer is patched
            assert hasattr(trace.build_tracer, "__wrapped__")
        """
    )
    result.assert_outcomes(passed=4)
