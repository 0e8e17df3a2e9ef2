"""``--backchannel-contract``, on suites that are written with whatever they are written with."""

from __future__ import annotations

import json

import pytest

SUITE = """
    from unittest.mock import patch

    from shop.tasks import add, confirm_order

    def test_mock(client, db, django_capture_on_commit_callbacks):
        with patch("shop.views.confirm_order") as task, django_capture_on_commit_callbacks(execute=True):
            client.get("/orders/1/confirm/")
"""
OF_THE_TEST = """
    from shop.tasks import add

    def test_eager(settings):
        settings.CELERY_TASK_ALWAYS_EAGER = True
        add.delay(1, 2)

    def test_queue(task_queue):
        add.delay(1, y=2)
        task_queue.run()
"""
SENDERS = """
    from celery import chain
    from shop.tasks import add

    def plus():
        return add.delay(1, 2)

    def later():
        return add.apply_async((1,), {"y": 2}, countdown=5, queue="slow")

    def workflow():
        return chain(add.s(1, 2), add.s(y=3)).delay()
"""


def contract(project):
    return json.loads((project.path / "contract.json").read_text())


def sent(project, task="shop.tasks.add"):
    return [
        {name: value for name, value in one.items() if name not in ("task", "serializer")}
        for one in contract(project)["sends"]["tasks"]
        if one["task"] == task and one["seen"] == "run"
    ]


def run(project, text, *arguments):
    project.write("test_it.py", text)  # and no file on the command line, which would be a part of the suite
    return project.run("--backchannel-contract=contract.json", *arguments)


def senders(project):
    project.write("shop/senders.py", SENDERS)


def test_a_mock_says_what_would_have_been_sent(project):
    run(project, SUITE).assert_outcomes(passed=1)
    assert len(sent(project, "shop.tasks.confirm_order")) == 1


def test_what_a_test_sends_itself_is_not_the_projects(project):
    run(project, OF_THE_TEST).assert_outcomes(passed=2)
    assert sent(project) == []


EAGER = """
    from shop import senders

    def test_all(settings):
        settings.CELERY_TASK_ALWAYS_EAGER = True
        senders.plus(), senders.later(), senders.workflow()
"""
SIMULATED = """
    from shop import senders

    def test_all(task_queue):
        senders.plus(), senders.later(), senders.workflow()
        task_queue.run()
"""


@pytest.mark.parametrize("suite", [EAGER, SIMULATED], ids=["eager", "simulated"])
def test_eager_and_the_simulated_broker_say_the_same(project, suite):
    senders(project)
    run(project, suite).assert_outcomes(passed=1)
    assert sent(project) == [
        {"args": 1, "kwargs": ["y"], "queue": "celery", "seen": "run"},
        {"args": 1, "kwargs": ["y"], "queue": "slow", "headers": ["eta"], "seen": "run"},
        {"args": 2, "queue": "celery", "seen": "run"},
    ]


def test_a_part_of_the_suite_adds_to_the_file_and_takes_nothing_away(project):
    senders(project)
    text = """
        from shop import senders

        def test_plus(task_queue):
            senders.plus()

        def test_later(task_queue):
            senders.later()
    """
    result = run(project, text)
    result.stdout.fnmatch_lines(["*contract.json: written: *"])
    whole = (project.path / "contract.json").read_text()
    result = run(project, text, "-k", "plus")
    result.stdout.fnmatch_lines(
        ["*contract.json: unchanged: *", "1 test was deselected: what tests had seen before was kept"]
    )
    assert (project.path / "contract.json").read_text() == whole
    # A whole run says what there is.
    run(project, text.replace("senders.later()", "pass")).assert_outcomes(passed=2)
    assert len(sent(project)) == 1


def test_an_interrupted_run_writes_nothing(project):
    result = run(project, "def test_one():\n        raise KeyboardInterrupt\n")
    result.stdout.fnmatch_lines(["*contract.json was not written: the run did not come to its end"])
    assert not (project.path / "contract.json").exists()


def test_xdist(project):
    senders(project)
    text = """
        from shop import senders

        def test_plus(task_queue):
            senders.plus()

        def test_later(task_queue):
            senders.later()
    """
    result = run(project, text, "-n", "2", "-p", "xdist", "-k", "plus or later")
    result.assert_outcomes(passed=2)
    assert len(sent(project)) == 2
    assert "deselected:" not in result.stdout.str()
    result = run(project, text, "-n", "2", "-p", "xdist", "-k", "plus")
    result.stdout.fnmatch_lines(["1 test was deselected: *"])


def test_a_folder_that_is_not_there(project):
    result = project.test("def test_one(): pass", "--backchannel-contract=none/contract.json")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--backchannel-contract=none/contract.json: there is no folder *"])


def test_a_mock_that_monkeypatch_puts_in_place(project):
    senders(project)
    text = """
        from unittest.mock import Mock

        from shop import senders

        def test_delay(monkeypatch):
            monkeypatch.setattr("shop.tasks.add.delay", Mock())
            senders.plus()
    """
    run(project, text).assert_outcomes(passed=1)
    assert sent(project) == [{"args": 2, "queue": "celery", "seen": "run"}]


REAL = """
    import pytest
    from shop import senders
    from shop.tasks import add, nested

    @pytest.mark.celery_integration
    @pytest.mark.task_queue(broker="redis", queues=["celery", "slow", "inner"])
    @pytest.mark.django_db
    def test_real(task_queue):
        add.delay(5, y=6)
        senders.plus()
        nested.delay()
        task_queue.run()
"""
NESTED = """

@shared_task
def nested():
    add.apply_async((1,), {"y": 2}, queue="inner")
"""
FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""


@pytest.mark.celery_integration
def test_a_real_worker_and_what_its_tasks_send(project):
    """What the worker process sends is in the test's log as far as the plugin sees it there: with its own line."""
    senders(project)
    tasks = (project.path / "shop" / "tasks.py").read_text()
    project.write("shop/tasks.py", tasks + NESTED)
    project.settings(FILE_DATABASE)
    run(project, REAL).assert_outcomes(passed=1)
    assert sent(project) == [
        {"args": 1, "kwargs": ["y"], "queue": "inner", "seen": "run"},
        {"args": 2, "queue": "celery", "seen": "run"},
    ]


def test_without_channels(project, without):
    without("channels", "channels_redis", "daphne")
    senders(project)
    settings = (project.path / "config" / "settings.py").read_text()
    project.write("config/settings.py", settings.replace('    "channels",\n', ""))
    project.write(
        "config/asgi.py", "from django.core.asgi import get_asgi_application\n\napplication = get_asgi_application()\n"
    )
    (project.path / "shop" / "consumers.py").unlink()
    run(project, SIMULATED).assert_outcomes(passed=1)
    said = contract(project)
    assert len(sent(project)) == 3
    assert (said["accepts"]["routes"], said["sends"]["messages"]) == ([], [])
    assert "shop.tasks.add" in said["accepts"]["tasks"]


LIVE = """
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    def tell():
        message = {"type": "room.message", "text": "Hello"}
        async_to_sync(get_channel_layer().group_send)("room", message)
"""


def test_without_celery(project, without):
    without("celery", "kombu", "billiard", "vine")
    for name in ("config/__init__.py", "config/celery.py", "shop/tasks.py", "shop/views.py"):
        project.write(name, "")
    project.write("config/urls.py", "urlpatterns = []\n")
    project.write("shop/live.py", LIVE)
    result = run(
        project,
        """
        from shop.live import tell

        def test_layer(channel_layer):
            tell()
        """,
    )
    result.assert_outcomes(passed=1)
    said = contract(project)
    assert (said["accepts"]["tasks"], said["accepts"]["content"], said["sends"]["tasks"]) == ({}, [], [])
    assert said["accepts"]["routes"] == ["/ws/echo/", "/ws/rooms/<str:room>/"]
    assert said["sends"]["messages"] == [{"type": "room.message", "keys": ["text"], "seen": "run"}]
