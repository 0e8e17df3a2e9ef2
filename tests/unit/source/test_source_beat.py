"""Entries of the beat schedule, and settings, where the code has them literally."""

from __future__ import annotations

import pytest

TASKS = "from celery import shared_task\n@shared_task\ndef nightly(month=None): ...\n"
ENTRY = (
    '{"nightly": {"task": "shop.tasks.nightly", "schedule": crontab(hour=2), "args": (1,), "options": {"expires": 9}}}'
)


@pytest.mark.parametrize(
    "source",
    [
        f"CELERY_BEAT_SCHEDULE = {ENTRY}",
        f"CELERYBEAT_SCHEDULE: dict = {ENTRY}",
        f"class Production:\n    CELERY_BEAT_SCHEDULE = {ENTRY}",
        f"app.conf.beat_schedule = {ENTRY}",
        f"app.conf.update(beat_schedule={ENTRY})",
        f"CELERY_BEAT_SCHEDULE = {{}}\nCELERY_BEAT_SCHEDULE.update({ENTRY})",
        f"CELERY_BEAT_SCHEDULE = {{}}\nCELERY_BEAT_SCHEDULE['nightly'] = {ENTRY[12:-1]}",
    ],
)
def test_an_entry_is_found_wherever_schedules_are_kept(read, source):
    (entry,) = read(shop__tasks=TASKS, config__settings=source).beat
    assert (entry.key, entry.task, entry.resolved) == ("beat:nightly", "shop.tasks.nightly", True)
    assert (entry.schedule, entry.source) == ("crontab(hour=2)", "setting")
    assert (entry.arguments.positional, entry.arguments.options) == (("1",), {"expires": "9"})


def test_a_periodic_task_is_an_entry(read):
    index = read(
        shop__tasks=TASKS
        + """
@app.on_after_finalize.connect
def set_up(sender, **kwargs):
    sender.add_periodic_task(30.0, nightly.s(7), name="half a minute")
    sender.add_periodic_task(60.0, nightly)
"""
    )
    assert [(one.key, one.task, one.arguments.positional) for one in index.beat] == [
        ("beat:half a minute", "shop.tasks.nightly", ("7",)),
        ("beat:shop.tasks.nightly", "shop.tasks.nightly", None),
    ]


def test_a_task_may_be_given_by_its_attribute_or_by_a_name_that_nobody_has(read):
    index = read(
        shop__tasks=TASKS,
        config__settings="""
        from shop.tasks import nightly
        CELERY_BEAT_SCHEDULE = {
            "by attribute": {"task": nightly.name, "schedule": 1},
            "unknown": {"task": "shop.tasks.gone", "schedule": 1},
            "computed": {"task": name(), "schedule": 1},
            "nothing": {"schedule": 1},
            **MORE,
        }
        """,
    )
    assert [(one.name, one.task, one.resolved) for one in index.beat] == [
        ("by attribute", "shop.tasks.nightly", True),
        ("unknown", "shop.tasks.gone", False),
        ("computed", None, False),
    ]


def test_equal_names_in_several_settings_have_keys_of_their_own(read):
    one = f"CELERY_BEAT_SCHEDULE = {ENTRY}"
    index = read(shop__tasks=TASKS, config__a=one, config__b=one)
    assert [entry.key for entry in index.beat] == ["beat:nightly", "beat:nightly#2"]


def test_settings_are_told_with_their_values(read):
    index = read(
        config__settings="""
        import os
        CELERY_TASK_ACKS_LATE = True
        CELERY_BROKER_URL, CELERY_RESULT_BACKEND = "memory://", None
        CHANNEL_LAYERS = {"default": {"BACKEND": os.environ["LAYER"]}}
        EMAIL_TIMEOUT = 10
        EMAIL_HOST_PASSWORD = "hunter2"
        DEBUG = True
        def f():
            CELERY_LOCAL = 3
        """,
        config__celery="app.conf.task_acks_late = True\napp.conf.update(worker_prefetch_multiplier=1)",
    )
    assert {one.name: (one.literal, one.value) for one in index.settings} == {
        "CELERY_TASK_ACKS_LATE": (True, True),
        "CELERY_BROKER_URL": (True, "memory://"),
        "CELERY_RESULT_BACKEND": (True, None),
        "CHANNEL_LAYERS": (False, None),
        "EMAIL_TIMEOUT": (True, 10),
        "conf.task_acks_late": (True, True),
        "conf.worker_prefetch_multiplier": (True, 1),
    }
