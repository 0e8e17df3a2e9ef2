"""Tests in one process share a worker where they may, and are told apart where they may not."""

from __future__ import annotations

import pytest

SUITE = """
import pytest
from celery import Celery

app = Celery("reuse", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/0")
seen = []

@app.task(name="reuse.add")
def add(x, y):
    return x + y

@pytest.mark.parametrize("n", range(4))
def test_one(task_queue, n):
    assert len(task_queue) == 0
    result = add.delay(n, 1)
    task_queue.run()
    assert result.get() == n + 1
    seen.append(next(iter(task_queue._driver.engine.workers.values())).controller)

def test_they_share_it():
    assert len(seen) == 4
    assert len({id(one) for one in seen}) == {workers}
"""


@pytest.mark.parametrize(("reuse", "workers"), [("true", 1), ("false", 4)])
def test_the_option_says_whether_a_worker_is_used_again(pytester, reuse, workers):
    pytester.makeini(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nbackchannel_celery_app = test_suite:app\n"
        f"backchannel_reuse = {reuse}\n"
    )
    pytester.makepyfile(test_suite=SUITE.replace("{workers}", str(workers)))
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-q", "-p", "no:django")
    result.assert_outcomes(passed=5)
