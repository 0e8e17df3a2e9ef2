"""OpenTelemetry: spans of the request, the enqueueing and the body, in one trace."""

from __future__ import annotations

CONFTEST = """
    import pytest
    from opentelemetry import trace
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()

    def pytest_configure():
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        CeleryInstrumentor().instrument()
        DjangoInstrumentor().instrument()

    @pytest.fixture
    def spans():
        exporter.clear()
        return lambda: {span.name: span for span in exporter.get_finished_spans()}
"""


def test_request_enqueueing_and_body_are_one_trace(library):
    project = library("opentelemetry.instrumentation.celery", "opentelemetry.instrumentation.django")
    project.write("conftest.py", CONFTEST)
    result = project.test(
        """
        from opentelemetry.trace import StatusCode
        from shop.tasks import add, fail

        def test_on_the_stepped_worker(db, client, task_queue, spans):
            client.post("/orders/7/confirm/")
            task_queue.run()
            names = (
                "POST orders/<int:order_id>/confirm/",
                "apply_async/shop.tasks.confirm_order",
                "run/shop.tasks.confirm_order",
            )
            request, publish, run = (spans()[name] for name in names)
            assert publish.parent.span_id == request.context.span_id
            assert run.parent.span_id == publish.context.span_id
            assert run.attributes["celery.state"] == "SUCCESS"

        def test_a_failure_is_the_status_of_its_span(task_queue, spans):
            fail.delay()
            task_queue.run(propagate=False)
            assert task_queue.failures
            assert spans()["run/shop.tasks.fail"].status.status_code is StatusCode.ERROR

        def test_in_eager_mode(celery_eager, spans):
            assert add.delay(1, 2).get() == 3
            assert list(spans()) == ["run/shop.tasks.add"]
        """
    )
    result.assert_outcomes(passed=3)
