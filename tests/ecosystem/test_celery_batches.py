"""celery-batches: a task that gathers requests in the worker. It needs Celery 5.6."""

from __future__ import annotations

TASKS = """
    from celery import shared_task
    from celery_batches import Batches

    RUNS = []

    @shared_task(base=Batches, flush_every=3, flush_interval=60)
    def count_visits(requests):
        RUNS.append([request.args[0] for request in requests])
        if "broken" in RUNS[-1]:
            raise ValueError("no such page")

    @shared_task(base=Batches, flush_every=3, flush_interval=60, acks_late=True)
    def count_late(requests):
        RUNS.append([request.args[0] for request in requests])

    @shared_task
    def plain():
        count_visits.delay("of a task")
        return "done"
"""


def test_a_batch_runs_when_it_is_full_or_its_time_has_come(library):
    project = library("celery_batches")
    project.write("shop/visits.py", TASKS)
    result = project.test(
        """
        import pytest
        from shop.visits import RUNS, count_late, count_visits, plain

        @pytest.fixture(autouse=True)
        def fresh():
            RUNS.clear()

        @pytest.mark.parametrize("task", [count_visits, count_late])
        def test_a_full_batch(task_queue, task):
            for page in "abcd":
                task.delay(page)
            assert task_queue.run() == {"SUCCESS": 3}
            assert RUNS == [["a", "b", "c"]]
            assert [done.args for done in task_queue.succeeded] == [("a",), ("b",), ("c",)]
            assert [task.args for task in task_queue] == [("d",)]  # with the worker

        def test_what_the_test_before_has_left_is_not_in_it(task_queue):
            for page in "xyz":
                count_visits.delay(page)
            task_queue.run()
            assert RUNS == [["x", "y", "z"]]

        def test_the_interval_in_virtual_time(task_queue):
            count_visits.delay("a")
            assert task_queue.advance(59) == {}
            assert task_queue.advance(1) == {"SUCCESS": 1}
            count_visits.delay("b")
            assert task_queue.run_until_idle() == {"SUCCESS": 1}
            assert RUNS == [["a"], ["b"]]
            task_queue.assert_empty()

        def test_a_failure_is_no_secret(task_queue):
            count_visits.delay("broken")
            with pytest.raises(ValueError, match="no such page"):
                task_queue.run_until_idle()
            assert [failure.args for failure in task_queue.failures] == [("broken",)]

        def test_among_plain_tasks(task_queue):
            results = [plain.delay() for _ in range(3)]
            assert task_queue.run() == {"SUCCESS": 6}
            assert [result.get() for result in results] == ["done"] * 3
            assert RUNS == [["of a task"] * 3]

        def test_in_eager_mode(celery_eager):
            count_visits.delay("a")
            assert RUNS == [["a"]]
        """
    )
    result.assert_outcomes(passed=7)
