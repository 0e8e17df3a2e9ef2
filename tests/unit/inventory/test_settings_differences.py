"""What a double takes from production: what the tests say nothing of."""

from __future__ import annotations

import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
from celery import Celery

from pytest_backchannel.inventory.differences import _text_of, silent_differences


@pytest.fixture
def settings(monkeypatch):
    """What stands for Django's settings."""
    settings = SimpleNamespace()
    monkeypatch.setattr("django.conf.settings", settings)
    return settings


@pytest.fixture
def tests_settings(tmp_path, monkeypatch, settings):
    """A settings module of tests; what it says is in Django's settings, too."""
    monkeypatch.syspath_prepend(tmp_path)
    _text_of.cache_clear()

    def write(text):
        (tmp_path / "settings_of_base.py").write_text("CELERY_TASK_TIME_LIMIT = 60\n")
        (tmp_path / "settings_of_tests.py").write_text(f"from settings_of_base import *\n{text}\n")
        module = import_module("settings_of_tests")
        vars(settings).update({name: value for name, value in vars(module).items() if name.isupper()})
        app = Celery("of the tests", set_as_current=False)
        app.config_from_object(settings, namespace="CELERY")
        return app

    yield write
    for name in ("settings_of_base", "settings_of_tests"):
        sys.modules.pop(name, None)


def differences(app, **celery):
    return silent_differences(celery, app, "settings_of_tests")


def test_what_the_tests_say_nothing_of(tests_settings):
    app = tests_settings("")
    assert differences(app, accept_content=["msgpack"], task_time_limit=10, task_default_queue="celery") == {
        "accept_content": ["msgpack"],
        "task_time_limit": 10,
    }


def test_what_their_own_module_names_is_their_decision(tests_settings):
    app = tests_settings("CELERY_ACCEPT_CONTENT = ['json']\ndel CELERY_TASK_TIME_LIMIT\n")
    assert differences(app, accept_content=["msgpack"], task_time_limit=10) == {}


def test_what_a_test_changes_is_its_decision(tests_settings, settings):
    app = tests_settings("")
    settings.CELERY_TASK_TIME_LIMIT = 20
    settings.CELERY_ACCEPT_CONTENT = ["yaml"]
    app.conf.task_default_queue = "own"
    assert differences(app, accept_content=["msgpack"], task_time_limit=10, task_default_queue="other") == {}


def test_a_tuple_and_a_list_are_the_same(tests_settings):
    app = tests_settings("")
    assert isinstance(app.conf.accept_content, tuple | list)
    assert differences(app, accept_content=["json"]) == {}


def test_an_app_that_does_not_read_the_settings_of_django():
    assert silent_differences({"accept_content": ["msgpack"]}, Celery("other", set_as_current=False), "settings") == {}
