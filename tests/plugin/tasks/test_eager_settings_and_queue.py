"""task_queue and celery_eager where the test settings say that tasks are always eager."""

from __future__ import annotations


def test_the_fixture_that_comes_last_decides(project):
    project.settings("CELERY_TASK_ALWAYS_EAGER = True\nCELERY_TASK_EAGER_PROPAGATES = True\n")
    project.test(
        """
        from config.celery import app
        from shop.tasks import add

        def test_task_queue_overrides_the_settings(task_queue):
            result = add.delay(1, 2)
            task_queue.assert_enqueued(add.s(1, 2))
            task_queue.run()
            assert result.get() == 3

        def test_task_queue_last(celery_eager, task_queue):
            add.delay(1, 2)
            task_queue.assert_enqueued(add.s(1, y=2))
            task_queue.run()

        def test_celery_eager_last(task_queue, celery_eager):
            assert add.delay(1, 2).get() == 3
            task_queue.assert_empty()

        def test_they_share_one_time(task_queue, virtual_clock):
            add.apply_async((1, 2), countdown=60)
            virtual_clock.shift(30)
            task_queue.run()
            assert not task_queue.succeeded
            task_queue.advance(31)
            assert len(task_queue.succeeded) == 1

        def test_afterwards_the_settings_hold():
            assert app.conf.task_always_eager is True
            assert not {"task_always_eager", "CELERY_TASK_ALWAYS_EAGER"} & set(app.conf.changes)
        """
    ).assert_outcomes(passed=5)
