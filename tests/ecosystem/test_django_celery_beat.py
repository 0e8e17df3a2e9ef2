"""django-celery-beat: a schedule in the database, played in virtual time."""

from __future__ import annotations

SETTINGS = """
    INSTALLED_APPS += ["django_celery_beat"]
    CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
    CELERY_TIMEZONE = TIME_ZONE = "Europe/Berlin"
"""


def test_an_entry_of_the_database_is_due_in_virtual_time(library):
    project = library("django_celery_beat")
    project.settings(SETTINGS)
    result = project.test(
        """
        from datetime import UTC, datetime, timedelta

        from django.utils import timezone
        from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
        from shop.tasks import add

        def test_each_entry_comes_as_often_as_it_is_due(db, task_queue, virtual_clock):
            virtual_clock.move_to(datetime(2030, 6, 3, 0, 30, tzinfo=UTC))
            hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
            nightly = CrontabSchedule.objects.create(minute="0", hour="4", timezone="Europe/Berlin")
            PeriodicTask.objects.create(name="hourly", interval=hourly, task="shop.tasks.add", args="[1, 1]")
            PeriodicTask.objects.create(name="nightly", crontab=nightly, task="shop.tasks.add", args="[2, 2]")
            task_queue.beat(until=timedelta(days=1))
            assert len(task_queue.enqueued(add.s(2, 2))) == 1
            assert len(task_queue.enqueued(add.s(1, 1))) in (24, 25)
            task_queue.run()
            assert PeriodicTask.objects.get(name="nightly").last_run_at > timezone.now() - timedelta(days=1)
        """
    )
    result.assert_outcomes(passed=1)
