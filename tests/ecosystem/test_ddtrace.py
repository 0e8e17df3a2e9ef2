"""Datadog's tracer, which wraps Celery's classes in the whole process."""

from __future__ import annotations

CONFTEST = """
    import pytest
    from ddtrace.contrib.internal.celery.patch import patch, unpatch
    from ddtrace.trace import TraceFilter, tracer

    class Kept(TraceFilter):
        def process_trace(self, trace):
            SPANS.extend(trace)  # and nothing is left to send

    SPANS = []
    tracer.configure(trace_processors=[Kept()])

    @pytest.fixture
    def spans():
        SPANS.clear()
        return SPANS

    @pytest.fixture
    def patched():
        patch()
        yield
        unpatch()
"""


def test_spans_of_the_enqueueing_and_of_the_body_are_made(library, monkeypatch):
    project = library("ddtrace", plugins=("ddtrace",))
    monkeypatch.setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
    monkeypatch.setenv("DD_REMOTE_CONFIGURATION_ENABLED", "false")
    project.write("conftest.py", CONFTEST)
    result = project.test(
        """
        import pytest
        from celery.app.task import Task
        from shop.tasks import add, fail

        def test_on_the_stepped_worker(patched, task_queue, spans):
            result = add.delay(1, 2)
            task_queue.run()
            assert result.get() == 3
            assert [(span.name, span.resource) for span in spans] == [
                ("celery.apply", "shop.tasks.add"), ("celery.run", "shop.tasks.add"),
            ]
            assert [span.get_tag("celery.state") for span in spans] == [None, "SUCCESS"]

        def test_a_failure_is_the_error_of_its_span(task_queue, patched, spans):
            fail.delay()
            task_queue.run(propagate=False)
            (failure,) = task_queue.failures
            assert spans[-1].error
            assert spans[-1].get_tag("error.message") == "broken"

        def test_in_eager_mode(celery_eager, patched, spans):
            assert add.delay(1, 2).get() == 3
            assert [span.name for span in spans] == ["celery.run"]

        @pytest.fixture
        def now():  # around the body stands, for its time, what watches enqueueing
            return Task.apply_async

        def test_nothing_of_it_is_left(now):
            assert not hasattr(now, "__wrapped__")
        """
    )
    result.assert_outcomes(passed=4)
