"""Celery and Channels are each optional: a project with one of them imports nothing of the other."""

from __future__ import annotations

import pytest
from support.hidden_packages import hiding

SETTINGS = """
    SECRET_KEY = "x"
    USE_TZ = True
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
LAYERS = """    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
"""


def run(pytester, blocked, test, settings=""):
    # A plugin given by -p is imported before every other: as if the packages were not installed.
    for name, text in {
        "blocker.py": hiding(blocked),
        "settings.py": SETTINGS + settings,
        "test_it.py": test,
    }.items():
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        pytester.path.joinpath(name).write_text("\n".join(line[indent:] for line in lines) + "\n")
    pytester.makeini(
        "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\nasyncio_default_fixture_loop_scope = function\n"
        "addopts = -p blocker -p no:cacheprovider -p no:randomly -p no:faker -p no:valkey -p no:time_machine\n"
        "filterwarnings = error\n"
    )
    pytester.syspathinsert()
    return pytester.runpytest_subprocess()


NEITHER = ("celery", "kombu", "channels", "redis", "time_machine", "msgpack", "mirakuru", "uvicorn", "fakeredis")


def test_a_project_with_neither_runs_unchanged(pytester):
    run(
        pytester,
        NEITHER,
        """
        import sys
        from django.contrib.auth.models import User

        def test_sync(db):
            User.objects.create_user("a")

        def test_nothing_is_left(db):
            assert not User.objects.exists()
            assert not {"celery", "channels", "redis"} & set(sys.modules)
        """,
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("fixture", "extra"),
    [("celery_eager", "celery"), ("task_queue", "celery"), ("channel_layer", "channels"), ("websocket", "channels")],
)
def test_a_fixture_whose_extra_is_missing_names_the_extra(pytester, fixture, extra):
    result = run(pytester, NEITHER, f"def test_it({fixture}):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*pip install 'pytest-backchannel[[]{extra}[]]'*"])


def test_celery_without_channels(pytester):
    run(
        pytester,
        ("channels", "channels_redis", "daphne"),
        """
        import pytest
        from celery import Celery

        app = Celery("only", broker="redis://127.0.0.1:1", backend="cache+memory://")

        @app.task(name="only.add")
        def add(x, y):
            return x + y

        from pytest_backchannel.errors import ResultUnavailable
        from pytest_backchannel.typing import EnqueuedTask, TaskQueue

        def test_eager(celery_eager):
            assert add.delay(1, 2).get() == 3

        def test_types(task_queue: TaskQueue):
            add.delay(1, 2)
            assert isinstance(task_queue, TaskQueue)
            assert isinstance(task_queue[0], EnqueuedTask)
            task_queue.run()
            with pytest.raises(ResultUnavailable):
                app.AsyncResult("unknown").get()

        def test_queue(task_queue):
            add.delay(1, 2)
            task_queue.assert_enqueued(add.s(1, 2))
            task_queue.run()
        """,
    ).assert_outcomes(passed=3)


def test_channels_without_celery(pytester):
    run(
        pytester,
        ("celery", "kombu", "billiard"),
        r"""
        import pytest
        from channels.generic.websocket import AsyncJsonWebsocketConsumer

        from pytest_backchannel.errors import BackchannelFailure, ResultUnavailable
        from pytest_backchannel.typing import StrictLayer

        class Echo(AsyncJsonWebsocketConsumer):
            async def receive_json(self, content, **kwargs):
                await self.send_json(content)

        @pytest.mark.asyncio
        async def test_echo(websocket):
            async with websocket(Echo) as browser:
                await browser.send_json({"a": 1})
                assert await browser.receive_json() == {"a": 1}

        def test_types(channel_layer: StrictLayer):
            assert isinstance(channel_layer, StrictLayer)
            assert issubclass(ResultUnavailable, BackchannelFailure)

        def test_what_is_not_installed_is_named():
            with pytest.raises(ImportError, match=r"TaskQueue needs celery.*pytest-backchannel\[celery\]"):
                from pytest_backchannel.typing import TaskQueue
        """,
        LAYERS,
    ).assert_outcomes(passed=3)
