"""BC108 to BC114: what tests wait for, whose rows they see, and what they leave out."""

from __future__ import annotations

import pytest

SHOP = """
from celery import shared_task

@shared_task(bind=True)
def send_invoice(self, pk):
    raise self.retry(countdown=60)

@shared_task
def plain(pk): ...
"""
ROUTES = """
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from django.urls import path, re_path

class Chat(AsyncWebsocketConsumer):
    groups = ["chat"]

urls = [path("ws/chat/<int:room>/", Chat.as_asgi()), re_path(r"^ws/all/(?P<what>\\w+)/$", Chat.as_asgi())]
application = token_required(URLRouter(urls))
"""
IMPORTS = """
import pytest
from unittest.mock import patch
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from celery.exceptions import Retry
from chat.routing import Chat, application
from shop.models import Order
from shop.tasks import plain, send_invoice

"""


def files_of(body, *, tasks="", **files):
    return {"shop/tasks.py": tasks, "tests/test_all.py": IMPORTS + body, **files}


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (["BC108"], "async def wait(s):\n    await s.receive_from(timeout=None)\n"),
        (["BC108"], "async def wait(s):\n    await s.receive_output(None)\n"),
        ([], "async def wait(s):\n    await s.receive_from()\n    await s.receive_json_from(2)\n"),
        ([], "async def wait(s):\n    await s.receive_json(timeout=None)\n"),
    ],
)
def test_frames(codes, expected, body):
    assert codes(files_of(body)) == expected


ASYNC = "@pytest.mark.asyncio\n"
DB = "@pytest.mark.django_db\n"


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (["BC109"], ASYNC + "async def test_a(db):\n    await Order.objects.acreate()\n"),
        (["BC109"], ASYNC + DB + "async def test_a():\n    await Order.objects.filter(pk=1).aget()\n"),
        (["BC109"], ASYNC + "async def test_a(db):\n    await database_sync_to_async(Order.objects.create)()\n"),
        ([], ASYNC + "async def test_a(transactional_db):\n    await Order.objects.acreate()\n"),
        (
            [],
            ASYNC + DB.replace("db", "db(transaction=True)") + "async def test_a():\n    await Order.objects.aget()\n",
        ),
        ([], ASYNC + "async def test_a(db):\n    await work()\n"),
        ([], ASYNC + "async def test_a(store):\n    await Order.objects.acreate()\n"),
        ([], "def test_a(db):\n    Order.objects.create()\n"),
        ([], f"class TestA(TestCase):\n    {DB}    async def test_a(self):\n        await Order.objects.acreate()\n"),
    ],
)
def test_async_tests_with_a_database(codes, expected, body):
    assert codes(files_of(body)) == expected


def test_with_the_plugin_db_is_right(codes):
    files = files_of(ASYNC + "async def test_a(db):\n    await Order.objects.acreate()\n")
    assert codes(files | {"requirements.txt": "pytest-backchannel==1.0\n"}) == []
    assert codes(files, configuration={"backchannel_timeout": "3"}) == []
    files = files_of(ASYNC + "async def test_a(db):\n    await Order.objects.acreate()\n")
    assert codes(files, configuration={"backchannel_async_db": "off", "asyncio_mode": "auto"}) == ["BC109"]


RAISES = "def test_a():\n    with pytest.raises(%s):\n        %s\n"


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (["BC111"], RAISES % ("Exception", "send_invoice.delay(7)")),
        (["BC111"], RAISES % ("BaseException", "send_invoice.apply(args=(7,)).get()")),
        ([], RAISES % ("Retry", "send_invoice.delay(7)")),
        ([], RAISES % ("Exception, match='late'", "send_invoice.delay(7)")),
        ([], RAISES % ("Exception", "plain.delay(7)")),
    ],
)
def test_an_expected_retry(codes, expected, body):
    assert codes(files_of(body, tasks=SHOP)) == expected


OPENS = "@pytest.mark.asyncio\nasync def test_a(room, websocket, path):\n    await %s.connect()\n"


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([9, 9], OPENS % "WebsocketCommunicator(Chat.as_asgi(), '/ws/chat/7/')"),
        ([9, 9], OPENS % "WebsocketCommunicator(application, '/ws/chat/lobby/')"),
        ([9], OPENS % "WebsocketCommunicator(application, '/ws/chat/7/?token=1')"),
        ([9], OPENS % "WebsocketCommunicator(application, f'/ws/chat/{room}/')"),
        ([9], OPENS % "websocket(f'/ws/all/{room}/')"),
        ([9], OPENS % "live(f'ws://{room}/ws/all/news/')" + "# websocket"),
        ([], OPENS % "WebsocketCommunicator(application, path)"),
        ([], OPENS % "websocket(path)"),
        ([], "def test_a(websocket_matrix): ...\n"),
        ([], "def test_a(): ...\n"),
    ],
)
def test_routes(found, lines, body):
    imports = IMPORTS.replace("from channels.testing import WebsocketCommunicator\n", "").replace(
        "chat.routing", "chat"
    )
    files = {"chat/routing.py": ROUTES, "tests/test_all.py": imports + body}
    assert [line for code, _, line in found(files) if code == "BC112"] == lines


PATCHED = "def test_a(client):\n    with patch('shop.tasks.send_invoice.delay') as delay:\n        client.post('/')\n"


@pytest.mark.parametrize(
    ("expected", "body", "settings"),
    [
        (["BC113"], PATCHED, ""),
        ([], PATCHED + "\ndef test_b():\n    send_invoice.run(7)\n", ""),
        ([], PATCHED, "CELERY_TASK_ALWAYS_EAGER = DEBUG\n"),
        ([], "def test_a(client, celery_worker_of_ours): ...\n" + PATCHED, ""),
        ([], "def test_a(client):\n    client.post('/')\n", ""),
    ],
)
def test_bodies(codes, expected, body, settings):
    imports = IMPORTS.replace(", send_invoice", "")
    files = {"shop/tasks.py": SHOP, "tests/test_all.py": imports + body, "config/settings.py": settings}
    assert codes(files) == expected


WORKFLOW = "jobs:\n  test:\n    steps:\n      - run: pip install pytest\n      - run: %s\n"
SLOW = "@pytest.mark.celery_integration\ndef test_a(celery_worker): ...\n"


@pytest.mark.parametrize(
    ("expected", "run", "body", "configuration"),
    [
        ([("BC114", ".github/workflows/ci.yml", 5)], "python -m pytest -q", SLOW, {}),
        ([], "pytest -m 'not celery_integration'", SLOW, {}),
        ([], "make test", SLOW, {}),
        ([], "pytest", SLOW, {"addopts": '-m "not celery_integration"'}),
        ([], "pytest", "def test_a(): ...\n", {}),
    ],
)
def test_jobs(found, expected, run, body, configuration):
    files = files_of(body) | {".github/workflows/ci.yml": WORKFLOW % run}
    assert found(files, configuration=configuration) == expected


REDIS = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}\n'


@pytest.mark.parametrize(
    ("expected", "addopts", "settings"),
    [
        (["BC110"], "-n auto", REDIS),
        (["BC110"], "-q -n4 --dist load", REDIS),
        ([], "-n auto --dist loadscope", REDIS),
        ([], "-n 0", REDIS),
        ([], "-q", REDIS),
        ([], "-n auto", REDIS.replace("channels_redis.pubsub.RedisPubSub", "channels.layers.InMemory")),
    ],
)
def test_parallel_runs(codes, expected, addopts, settings):
    files = files_of("def test_a(): ...\n") | {"config/settings.py": settings}
    assert codes(files, configuration={"addopts": addopts}) == expected
