"""pytest-mock: what it patches and spies on, beside the doubles."""

from __future__ import annotations


def test_patches_and_spies_of_mocker(library):
    project = library("pytest_mock", plugins=("pytest_mock",))
    result = project.test(
        """
        import inspect

        import pytest
        from celery.app.task import Task
        from shop import tasks
        from shop.models import Order

        def methods():
            return [inspect.unwrap(method) for method in (Task.apply_async, Task.apply)]

        @pytest.fixture(scope="module")
        def before():
            return methods()

        def test_a_patch_of_what_a_task_calls(before, db, task_queue, mocker):
            update = mocker.patch.object(Order.objects, "filter")
            tasks.confirm_order.delay(7)
            task_queue.run()
            update.assert_called_once_with(pk=7)

        def test_a_spy_on_the_body(before, task_queue, mocker):
            spy = mocker.spy(tasks.add, "run")
            result = tasks.add.delay(1, 2)
            task_queue.run()
            assert result.get() == 3
            spy.assert_called_once_with(1, 2)

        def test_a_spy_on_enqueueing(before, db, client, task_queue, mocker):
            spy = mocker.spy(Task, "apply_async")
            client.post("/orders/7/confirm/")
            task_queue.assert_enqueued(tasks.confirm_order.s(7))
            assert spy.call_count == 1

        def test_a_patched_delay_enqueues_nothing(before, db, client, task_queue, mocker):
            delay = mocker.patch("shop.tasks.confirm_order.delay")
            client.post("/orders/7/confirm/")
            delay.assert_called_once_with(7)
            task_queue.assert_empty()

        @pytest.mark.parametrize("round", [1, 2])
        def test_a_spy_in_eager_mode(before, celery_eager, mocker, round):
            spy = mocker.spy(Task, "apply_async")
            assert tasks.add.delay(1, 2).get() == 3
            assert spy.call_count == 1

        def test_nothing_is_left(before):
            assert methods() == before
        """
    )
    result.assert_outcomes(passed=7)
