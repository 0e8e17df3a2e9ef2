"""`task_queue.beat()` with django-celery-beat's schedule: the moments are those of its own scheduler."""

from __future__ import annotations

import pytest

pytest.importorskip("django_celery_beat")

SETTINGS = """
    INSTALLED_APPS += ["django_celery_beat"]
    CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
    CELERY_RESULT_EXPIRES = None  # no entry of Celery's own
"""

ENTRIES = """
    from datetime import UTC, datetime, timedelta
    from zoneinfo import ZoneInfo

    from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask
    from shop.tasks import add

    ZONES = ["Europe/London", "America/New_York", "Australia/Lord_Howe"]


    def cron(name, zone, **fields):
        schedule = CrontabSchedule.objects.create(timezone=ZoneInfo(zone), **fields)
        return PeriodicTask.objects.create(name=name, task=add.name, args="[1, 2]", crontab=schedule)


    def every(name, count, period, **fields):
        schedule = IntervalSchedule.objects.create(every=count, period=period)
        return PeriodicTask.objects.create(name=name, task=add.name, args="[1, 2]", interval=schedule, **fields)


    def at(name, moment):
        schedule = ClockedSchedule.objects.create(clocked_time=moment)
        return PeriodicTask.objects.create(name=name, task=add.name, args="[1, 2]", clocked=schedule, one_off=True)
"""

COMPARED = """
    import time

    from config.celery import app
    from django.db import transaction
    from django_celery_beat.schedulers import DatabaseScheduler
    from entries import *


    start = datetime.fromisoformat("START").replace(tzinfo=UTC)


    class Real(DatabaseScheduler):
        def apply_entry(self, entry, producer=None):
            self.sent.append((entry.name, round(time.time())))


    def state():
        return list(PeriodicTask.objects.order_by("name").values_list("name", "enabled", "total_run_count"))


    def real(clock, end):
        # It looks again after a minute at most; its entries are due at moments of their own all the same.
        scheduler = Real(app=app, max_interval=60)
        scheduler._finalize.cancel()
        scheduler.sent = []
        while time.time() < end:
            count = len(scheduler.sent)
            delay = scheduler.tick()
            if len(scheduler.sent) == count:
                clock.shift(max(delay, 0.005))  # it asks for no pause at all in the last hundredth of a second
        scheduler.touched = True
        scheduler._last_full_sync = datetime.min
        scheduler.populate_heap()
        scheduler.close()
        return sorted(scheduler.sent), state()


    def beat(task_queue, end):
        sent = task_queue.beat(until=datetime.fromtimestamp(end, UTC))
        return sorted((task.headers["periodic_task_name"], round(task.enqueued_at)) for task in sent), state()


    def test_it(db, virtual_clock, task_queue, settings):
        use_tz = settings.USE_TZ
        virtual_clock.move_to(start)
        for zone in ZONES:
            cron(f"{zone} nine", zone, minute="0", hour="9")
            cron(f"{zone} in the hour of the change", zone, minute="15,45", hour="1")
            cron(f"{zone} one", zone, minute="30", hour="1")
            cron(f"{zone} two", zone, minute="10", hour="2")
            cron(f"{zone} every other hour", zone, minute="5", hour="*/2")
            cron(f"{zone} midnight of Sunday", zone, minute="0", hour="0", day_of_week="0")
        every("hours", 5, IntervalSchedule.HOURS)
        every("once", 7, IntervalSchedule.HOURS, one_off=True)
        every("quick", 17, IntervalSchedule.MINUTES)
        moment = start + timedelta(hours=20)
        at("clocked", moment if use_tz else moment.replace(tzinfo=None))
        missed = cron("missed for three days", "Europe/London", minute="0", hour="15")
        last = start - timedelta(days=3)
        PeriodicTask.objects.filter(pk=missed.pk).update(last_run_at=last if use_tz else last.replace(tzinfo=None))
        end = (start + timedelta(days=2, minutes=33)).timestamp()
        try:
            with transaction.atomic():
                wanted = real(virtual_clock, end)
                raise ZeroDivisionError
        except ZeroDivisionError:
            virtual_clock.move_to(start)
        found = beat(task_queue, end)
        assert len(found[0]) > 100
        if use_tz:
            assert found == wanted
        # Without time zones django-celery-beat takes local times for UTC, so that entries are overdue when it first
        # reads them, which it does every five minutes.
        assert [name for name, _ in found[0]] == [name for name, _ in wanted[0]]
        assert all(0 <= late - at <= 300 for (_, at), (_, late) in zip(found[0], wanted[0], strict=True))
        assert found[1] == wanted[1]
"""


NAIVE = """
    USE_TZ = False
    TIME_ZONE = "America/New_York"
    DJANGO_CELERY_BEAT_TZ_AWARE = False
"""


@pytest.mark.parametrize(
    ("start", "settings"),
    [
        pytest.param("2027-03-27 12:00", "", id="London, forward"),
        pytest.param("2027-10-30 12:00", "", id="London, back", marks=pytest.mark.slow),
        pytest.param("2027-03-13 12:00", "", id="New York, forward", marks=pytest.mark.slow),
        pytest.param("2027-11-06 12:00", "", id="New York, back", marks=pytest.mark.slow),
        pytest.param("2027-10-02 00:00", "", id="Lord Howe, half an hour forward", marks=pytest.mark.slow),
        pytest.param("2027-04-03 00:00", "", id="Lord Howe, half an hour back", marks=pytest.mark.slow),
        pytest.param("2027-03-13 12:00", NAIVE, id="New York, forward, without USE_TZ", marks=pytest.mark.slow),
        pytest.param("2027-11-06 12:00", NAIVE, id="New York, back, without USE_TZ", marks=pytest.mark.slow),
    ],
)
def test_the_moments_are_those_of_the_real_scheduler(project, start, settings):
    project.settings(SETTINGS)
    project.settings(settings)
    project.write("entries.py", ENTRIES)
    project.test(COMPARED.replace("START", start)).assert_outcomes(passed=1)


def test_a_year_of_ten_entries_takes_seconds(project):
    project.settings(SETTINGS)
    project.write("entries.py", ENTRIES)
    result = project.test(
        """
        from entries import *
        from pytest_backchannel.clock import virtual

        def test_it(db, virtual_clock, task_queue):
            virtual_clock.move_to(datetime(2027, 1, 1, tzinfo=UTC))
            for zone in ZONES:
                cron(f"{zone} nine", zone, minute="0", hour="9")
                cron(f"{zone} monthly", zone, minute="30", hour="1", day_of_month="1")
                cron(f"{zone} weekly", zone, minute="0", hour="0", day_of_week="1")
            at("clocked", datetime(2027, 6, 1, tzinfo=UTC))
            began = virtual._real["perf_counter"]()
            sent = task_queue.beat(until=timedelta(days=365))
            took = virtual._real["perf_counter"]() - began
            assert len(sent) == 3 * (365 + 12 + 52) + 1
            for task in sent:
                zone, _, what = task.headers["periodic_task_name"].partition(" ")
                if what == "nine":
                    local = datetime.fromtimestamp(task.enqueued_at, ZoneInfo(zone))
                    assert (local.hour, local.minute) == (9, 0)
            assert took < 60  # 10 on a machine with nothing else to do
        """
    )
    result.assert_outcomes(passed=1)


def test_changes_are_seen_while_time_moves_and_nothing_is_left(project):
    project.settings(SETTINGS)
    project.write("entries.py", ENTRIES)
    result = project.test(
        """
        import pytest
        from celery.signals import before_task_publish
        from django.db.models import signals
        from entries import *

        def names(sent):
            return [task.headers["periodic_task_name"] for task in sent]

        def test_a_an_entry_that_a_receiver_switches_off_or_on(db, task_queue):
            every("a", 1, IntervalSchedule.HOURS)
            every("b", 1, IntervalSchedule.HOURS, enabled=False)

            def switch(headers, **kwargs):
                for entry in PeriodicTask.objects.all():
                    entry.enabled = entry.name != headers["periodic_task_name"]
                    entry.save()

            before_task_publish.connect(switch)
            try:
                assert set(names(task_queue.beat(until=timedelta(hours=4)))) == {"a", "b"}
            finally:
                before_task_publish.disconnect(switch)

        def test_b_between_two_calls(db, task_queue):
            entry = every("a", 1, IntervalSchedule.HOURS)
            assert names(task_queue.beat(until=timedelta(minutes=90))) == ["a"]
            assert names(task_queue.beat(until=timedelta(minutes=30))) == ["a"]  # it knows when it was last
            entry.refresh_from_db()
            assert entry.total_run_count == 2
            entry.enabled = False
            entry.save()
            assert task_queue.beat(until=timedelta(days=1)) == []

        def test_c_one_off_and_expiry(db, task_queue, virtual_clock):
            once = every("once", 1, IntervalSchedule.HOURS, one_off=True)
            ended = every("ended", 1, IntervalSchedule.HOURS, expires=virtual_clock.now + timedelta(minutes=150))
            later = every("later", 1, IntervalSchedule.HOURS, start_time=virtual_clock.now + timedelta(hours=3))
            assert sorted(names(task_queue.beat(until=timedelta(hours=4)))) == [
                "ended", "ended", "later", "later", "once"
            ]
            for entry in (once, ended, later):
                entry.refresh_from_db()
            assert [once.enabled, ended.enabled, later.enabled] == [False, False, True]

        def test_d_nothing_is_left(db, task_queue):
            from multiprocessing.util import _finalizer_registry
            before = len(_finalizer_registry), [len(s.receivers) for s in (signals.post_save, signals.post_delete)]
            task_queue.beat(until=timedelta(hours=4))
            assert before == (
                len(_finalizer_registry), [len(s.receivers) for s in (signals.post_save, signals.post_delete)]
            )

        def test_e_an_unknown_task(db, task_queue):
            schedule = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.DAYS)
            PeriodicTask.objects.create(name="lost", task="shop.tasks.gone", interval=schedule)
            task_queue.beat(until=timedelta(hours=1))
        """
    )
    result.stdout.fnmatch_lines(["*beat entry 'lost' names the task 'shop.tasks.gone'*"])
    result.assert_outcomes(passed=4, failed=1)
