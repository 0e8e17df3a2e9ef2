"""The stepped worker has the settings of production that the tests say nothing of."""

from __future__ import annotations

from textwrap import dedent

import pytest

BASE = """
    from .settings import *

    CELERY_BROKER_URL = "redis://redis.example/0"
    CELERY_RESULT_BACKEND = "redis://redis.example/1"
"""


@pytest.fixture
def site(project):
    project.ini("backchannel_production_settings = config.production")

    def write(text):
        project.write("config/production.py", dedent(BASE) + dedent(text))
        return project

    return write


def test_what_only_production_says_holds(site):
    site(
        """
    CELERY_ACCEPT_CONTENT = ["msgpack"]
    CELERY_TASK_ROUTES = {"shop.tasks.add": {"queue": "sums"}}
    CELERY_TASK_TIME_LIMIT = 5
    """
    ).test(
        """
        import time
        import pytest
        from config.celery import app
        from shop.tasks import add

        @pytest.mark.allow_lost("undecodable_message")
        @pytest.mark.parametrize("again", [1, 2])
        def test_it(task_queue, again):
            add.delay(1, 2)
            assert [task.queue for task in task_queue] == ["sums"]
            assert task_queue.run() == {"REJECTED": 1}
            assert app.conf.task_time_limit == add.time_limit == 5

        def test_afterwards():
            assert app.conf.accept_content == ["json"] or tuple(app.conf.accept_content) == ("json",)
            assert app.conf.task_time_limit is None
            assert add.time_limit is None
        """
    ).assert_outcomes(passed=3)


def test_what_the_tests_say_is_theirs(site):
    project = site('CELERY_ACCEPT_CONTENT = ["msgpack"]\nCELERY_TASK_DEFAULT_QUEUE = "other"\n')
    project.settings('CELERY_ACCEPT_CONTENT = ["json"]')
    project.test(
        """
        from shop.tasks import add

        def test_of_the_module(task_queue):
            add.delay(1, 2)
            assert [task.queue for task in task_queue] == ["other"]
            assert task_queue.run() == {"SUCCESS": 1}

        def test_of_the_test(task_queue, settings):
            assert add.delay(1, 2).get() == 3
        """
    ).assert_outcomes(passed=2)


def test_a_setting_that_a_test_changes_before_the_queue_is_there(site):
    site('CELERY_TASK_DEFAULT_QUEUE = "other"\n').test(
        """
        import pytest
        from shop.tasks import add

        @pytest.fixture
        def own(settings):
            settings.CELERY_TASK_DEFAULT_QUEUE = "own"

        def test_it(own, task_queue):
            add.delay(1, 2)
            assert [task.queue for task in task_queue] == ["own"]
        """
    ).assert_outcomes(passed=1)
