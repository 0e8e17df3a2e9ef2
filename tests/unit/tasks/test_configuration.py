"""Settings that are overridden for a while, with and without a namespace."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from celery import Celery

from pytest_backchannel.tasks.configuration import ignored_eager_setting, overridden


def app_with(settings, namespace):
    app = Celery("configuration", set_as_current=False)
    app.config_from_object(settings, namespace=namespace)
    app.conf.get("task_always_eager")
    return app


@pytest.mark.parametrize(
    ("settings", "namespace", "was"),
    [
        ({}, None, False),
        ({"task_always_eager": True}, None, True),
        (SimpleNamespace(), "CELERY", False),
        (SimpleNamespace(CELERY_TASK_ALWAYS_EAGER=True), "CELERY", True),
        (SimpleNamespace(MY_TASK_ALWAYS_EAGER=True), "MY", True),
    ],
)
@pytest.mark.parametrize("assigned", [None, True, False])
def test_the_value_holds_and_then_what_was(settings, namespace, was, assigned):
    app = app_with(settings, namespace)
    if assigned is not None:
        app.conf.task_always_eager = assigned
    before, changes = app.conf.task_always_eager, dict(app.conf.changes)
    for value in (True, False):
        with overridden(app.conf, {"task_always_eager": value}):
            assert app.conf.task_always_eager is value
            assert app.conf["task_always_eager"] is value
            assert app.conf.get("task_always_eager") is value
        assert app.conf.changes == changes
        assert app.conf.task_always_eager is before
    if assigned is None:
        assert before is was
    app.close()


def test_what_else_is_assigned_meanwhile_stays():
    app = app_with(SimpleNamespace(), "CELERY")
    with overridden(app.conf, {"task_always_eager": True}):
        app.conf.beat_schedule = {"x": {}}
    assert app.conf.beat_schedule == {"x": {}}
    assert app.conf.task_always_eager is False
    app.close()


@pytest.mark.parametrize(
    ("settings", "namespace", "said"),
    [
        ({"CELERY_TASK_ALWAYS_EAGER": True}, None, r"CELERY_TASK_ALWAYS_EAGER = True is ignored: .*namespace='CELERY'"),
        (
            {"TASK_ALWAYS_EAGER": True},
            "CELERY",
            r"TASK_ALWAYS_EAGER = True is ignored: .*it CELERY_TASK_ALWAYS_EAGER",
        ),
        ({"CELERY_TASK_ALWAYS_EAGER": True}, "CELERY", "^$"),
        ({"CELERY_TASK_ALWAYS_EAGER": False}, None, "^$"),
        ({"TASK_ALWAYS_EAGER": True, "CELERY_TASK_ALWAYS_EAGER": True}, "CELERY", "^$"),
        ({}, None, "^$"),
    ],
)
def test_an_eager_setting_that_the_app_does_not_read_is_told(settings, namespace, said):
    app = Celery("unread", set_as_current=False)
    app.namespace = namespace
    assert re.search(said, ignored_eager_setting(app, SimpleNamespace(**settings)))
