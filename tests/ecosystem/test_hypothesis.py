"""Hypothesis: a queue, and a connection, for each example."""

from __future__ import annotations


def test_each_example_has_doubles_of_its_own(library):
    project = library("hypothesis", plugins=("hypothesispytest",))
    result = project.test(
        """
        import pytest
        from config.celery import app
        from hypothesis import Phase, example, given, settings
        from hypothesis import strategies as st
        from pytest_backchannel import TaskQueue, WebSocketClient
        from shop.consumers import EchoConsumer
        from shop.tasks import add

        @settings(deadline=None, max_examples=25, database=None)
        @given(x=st.integers(), y=st.integers())
        def test_a_queue(x, y):
            with TaskQueue(app) as task_queue:
                result = add.delay(x, y)
                assert task_queue.run() == {"SUCCESS": 1}
                assert result.get() == x + y
                task_queue.log.raise_problems()

        @pytest.mark.asyncio
        @settings(deadline=None, max_examples=25, database=None)
        @given(text=st.text())
        async def test_a_connection(text):
            async with WebSocketClient(EchoConsumer) as browser:
                await browser.send_json({"text": text})
                assert await browser.receive_json() == {"text": text}

        @settings(deadline=None, max_examples=25, database=None, phases=[Phase.explicit, Phase.generate])
        @example(x=100)
        @given(x=st.integers(max_value=99))
        def test_a_failing_example(x):
            with TaskQueue(app) as task_queue:
                add.delay(x, 0)
                task_queue.run()
                assert task_queue.succeeded[-1].result < 100
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*x=100,*"])
