"""BC1xx and BC6xx: the tests and the settings; what each rule finds beside its own example, and what it lets be."""

from __future__ import annotations

import pytest

LAYER = (
    'CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", '
    '"CONFIG": {"capacity": 9, "hosts": [%s]}}}\n'
)
MEMORY = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}\n'
EAGER = "CELERY_TASK_ALWAYS_EAGER = True\n"
PROPAGATES = "CELERY_TASK_EAGER_PROPAGATES = True\n"
BROKER = 'CELERY_BROKER_URL = "memory://"\n'
TASKS = "from celery import shared_task\n\n@shared_task\ndef send(pk): ...\n"


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (["BC101"], {"config/test_settings.py": EAGER + BROKER}),
        ([], {"config/settings/test.py": EAGER + BROKER, "config/settings/base.py": PROPAGATES}),
        ([], {"config/settings/local.py": EAGER}),
        ([], {"config/settings/test.py": "CELERY_TASK_ALWAYS_EAGER = False\n"}),
        (
            ["BC102"],
            {"settings/testing.py": EAGER + PROPAGATES, "settings/base.py": 'CELERY_BROKER_URL = "redis://c"\n'},
        ),
        ([], {"settings/test.py": EAGER + PROPAGATES + 'CELERY_BROKER_URL = env("BROKER")\n'}),
        ([], {"settings/test.py": EAGER + PROPAGATES, "settings/base.py": BROKER}),
        (["BC104"], {"settings/test.py": LAYER % '"redis://localhost"'}),
        ([], {"settings/base.py": LAYER % '"redis://localhost"'}),
        (["BC603"], {"settings/prod.py": MEMORY}),
        ([], {"settings/base.py": MEMORY, "settings/test.py": MEMORY, "shop/production.py": MEMORY}),
        ([], {"settings/prod.py": f"if DEBUG:\n    {MEMORY}"}),
        (["BC604"], {"settings/production.py": EAGER}),
        ([], {"settings/production.py": 'CELERY_TASK_ALWAYS_EAGER = env.bool("EAGER")\n'}),
        (["BC605"], {"settings/base.py": 'CELERY_ACCEPT_CONTENT = ["pickle"]\n'}),
        ([], {"settings/test.py": 'CELERY_ACCEPT_CONTENT = ["pickle"]\n'}),
    ],
)
def test_settings(codes, expected, files):
    assert codes(files) == expected


@pytest.mark.parametrize(
    ("expected", "hosts", "requirements"),
    [
        (["BC606"], '("cache", 6379)', {"requirements.txt": "redis==8.1.0\n"}),
        (["BC606"], '"redis://cache"', {"uv.lock": '[[package]]\nname = "redis"\nversion = "8.0.0"\n'}),
        ([], '"redis://cache"', {"requirements.txt": "redis==7.1.0\n"}),
        ([], '"redis://cache"', {"requirements.txt": "redis>=5\n"}),
        ([], '"redis://cache"', {"requirements.txt": "redis==8.1.0\nchannels-redis==4.4.0\n"}),
        ([], '{"address": "redis://cache", "socket_timeout": 30}', {"requirements.txt": "redis==8.1.0\n"}),
        ([], "host()", {"requirements.txt": "redis==8.1.0\n"}),
        ([], '"redis://cache"', {}),
    ],
)
def test_an_idle_layer(codes, expected, hosts, requirements):
    assert codes({"settings/production.py": LAYER % hosts, **requirements}) == expected


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        (["BC601"], "shop.tasks.sned"),
        ([], "shop.tasks.send"),
        ([], "other.tasks.sned"),
        ([], "celery.backend_cleanup"),
        ([], "sned"),
    ],
)
def test_beat_names_a_task(codes, expected, name):
    schedule = f'CELERY_BEAT_SCHEDULE = {{"nightly": {{"task": "{name}", "schedule": 60}}}}\n'
    assert codes({"shop/tasks.py": TASKS, "settings/base.py": schedule}) == expected


@pytest.mark.parametrize("text", ["from elsewhere import sned\n", "def sned(): ...\n", "from elsewhere import *\n"])
def test_a_name_that_may_be_a_task_in_another_way_is_let_be(codes, text):
    routes = 'CELERY_TASK_ROUTES = {"shop.tasks.sned": {"queue": "mail"}, "shop.*": {"queue": "shop"}}\n'
    assert codes({"shop/tasks.py": TASKS + text, "settings/base.py": routes}) == []
    assert codes({"shop/tasks.py": TASKS, "settings/base.py": routes}) == ["BC602"]


SENDS = "import time\nfrom shop.tasks import send\n"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["BC103", "BC107"], "def test_a(celery_worker):\n    r = send.delay(7)\n    assert r.get() == 7\n"),
        ([], "def test_a(celery_eager):\n    assert send.delay(7).get() == 7\n"),
        ([], "import pytest\npytestmark = [pytest.mark.slow]\ndef test_a(celery_worker):\n    send.delay(7).get(5)\n"),
        (["BC107"], "import pytest\n@pytest.mark.django_db\ndef test_a(worker_process):\n    send.delay(7)\n"),
        (["BC105"], "async def test_a():\n    send.delay(7)\n    from asyncio import sleep\n    await sleep(2)\n"),
        ([], "def test_a():\n    send.delay(7)\n    time.sleep(0)\n"),
        (
            [],
            "def test_a(monkeypatch):\n    monkeypatch.setattr('time.sleep', print)\n"
            "    send.delay(7)\n    time.sleep(3)\n",
        ),
        ([], "def wait():\n    send.delay(7)\n    time.sleep(3)\n"),
    ],
)
def test_tests(codes, expected, text):
    assert codes({"shop/tasks.py": TASKS, "tests/test_shop.py": SENDS + text}) == expected


ASYNC = "async def test_a(): ...\n"


@pytest.mark.parametrize(
    ("expected", "text", "configuration"),
    [
        (["BC106"], ASYNC, {"addopts": "-q"}),
        (["BC106"], f"class TestIt:\n    {ASYNC}", {"asyncio_mode": "strict"}),
        ([], ASYNC, {"asyncio_mode": "auto"}),
        ([], ASYNC, {}),
        ([], f"class TestIt(TestCase):\n    {ASYNC}", {"addopts": "-q"}),
        ([], f"import pytest\npytestmark = pytest.mark.anyio\n{ASYNC}", {"addopts": "-q"}),
        ([], f"@own_loop\n{ASYNC}", {"addopts": "-q"}),
    ],
)
def test_async_tests(codes, expected, text, configuration):
    assert codes({"tests/test_shop.py": text}, configuration=configuration) == expected


def test_a_conftest_may_mark_async_tests(codes):
    files = {"tests/test_shop.py": ASYNC, "tests/conftest.py": "def pytest_collection_modifyitems(items): ...\n"}
    assert codes(files, configuration={"addopts": "-q"}) == []
