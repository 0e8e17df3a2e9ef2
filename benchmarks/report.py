"""What --backchannel-report costs a suite, in instructions: a project with 200 tasks and 50 routes, and 1,000 tests.

    python benchmarks/report.py [TESTS]

Under callgrind it takes some minutes; where valgrind is missing, it is processor time. Modules are compiled before, as
in every run but the first. The processes that read the project beside the tests are not counted. The suite is what
suites are: half of the tests use the database alone, the others a view whose task is mocked, a task in eager mode, and
a communicator.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from counting.counter import available

TASKS, ROUTES = 200, 50
SETTINGS = """
SECRET_KEY = "cost"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "channels", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
CELERY_TASK_ALWAYS_EAGER = CELERY_TASK_EAGER_PROPAGATES = True
"""
APP = """
from celery import Celery

app = Celery("cost")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
URLS = """
from django.urls import path
from shop.views import buy

urlpatterns = [path("buy/<int:number>/", buy)]
"""
VIEWS = """
from django.http import HttpResponse
from shop import tasks
from shop.models import Order


def buy(request, number):
    order = Order.objects.create(number=number)
    getattr(tasks, f"task_{number % 200}").delay(order.id)
    return HttpResponse("bought")
"""
MODELS = """
from django.db import models


class Order(models.Model):
    number = models.IntegerField()
    paid = models.BooleanField(default=False)
"""
TESTS = """
from unittest.mock import patch

import pytest
from channels.testing import WebsocketCommunicator
from config.asgi import application
from shop import tasks
from shop.models import Order

MANY = range({many})


@pytest.mark.parametrize("number", MANY)
@pytest.mark.parametrize("kind", ["a", "b", "c"])
def test_database(db, number, kind):
    for one in range(3):
        Order.objects.create(number=one)
    Order.objects.filter(number=1).update(paid=True)
    assert Order.objects.filter(paid=True).count() == 1


@pytest.mark.parametrize("number", MANY)
def test_view(db, client, number):
    with patch(f"shop.tasks.task_{{number % 200}}.delay") as delay:
        client.get(f"/buy/{{number}}/")
    assert delay.called
    assert Order.objects.count() == 1


@pytest.mark.parametrize("number", MANY)
def test_task(db, number):
    order = Order.objects.create(number=number)
    getattr(tasks, f"task_{{number % 200}}").delay(order.id)
    order.refresh_from_db()
    assert order.paid


@pytest.mark.parametrize("number", MANY)
async def test_socket(number):
    communicator = WebsocketCommunicator(application, f"/ws/{{number % 50}}/7/")
    assert (await communicator.connect(timeout=60))[0]
    await communicator.send_json_to({{"action": "join"}})
    assert await communicator.receive_json_from(timeout=60) == {{"action": "join"}}
    await communicator.disconnect()
"""


def write_project(folder: Path, tests: int) -> None:
    """The project, with so many tests."""
    shop, config = folder / "shop", folder / "config"
    shop.mkdir()
    config.mkdir()
    (shop / "__init__.py").touch()
    (shop / "models.py").write_text(MODELS)
    (shop / "views.py").write_text(VIEWS)
    body = "def task_{0}(order_id):\n    Order.objects.filter(id=order_id).update(paid=True)\n"
    tasks = [f"@shared_task(acks_late=True)\n{body.format(number)}" for number in range(TASKS)]
    (shop / "tasks.py").write_text(
        "from celery import shared_task\n\nfrom .models import Order\n\n\n" + "\n\n".join(tasks)
    )
    consumer = "class Room{0}(AsyncJsonWebsocketConsumer):\n    async def receive_json(self, content):\n"
    consumers = [f"{consumer.format(number)}        await self.send_json(content)\n" for number in range(ROUTES)]
    head = "from channels.generic.websocket import AsyncJsonWebsocketConsumer\n\n\n"
    (shop / "consumers.py").write_text(head + "\n\n".join(consumers))
    (config / "__init__.py").write_text("from .celery import app as celery_app\n")
    (config / "settings.py").write_text(SETTINGS)
    (config / "celery.py").write_text(APP)
    (config / "urls.py").write_text(URLS)
    routes = "".join(f'    path("ws/{number}/<int:room>/", Room{number}.as_asgi()),\n' for number in range(ROUTES))
    (config / "asgi.py").write_text(
        "from django.core.asgi import get_asgi_application\n\ndjango_application = get_asgi_application()\n\n"
        "from channels.routing import ProtocolTypeRouter, URLRouter\nfrom django.urls import path\n"
        "from shop.consumers import *\n\nroutes = [\n" + routes + "]\napplication = ProtocolTypeRouter(\n"
        '    {"http": django_application, "websocket": URLRouter(routes)}\n)\n'
    )
    (folder / "test_shop.py").write_text(TESTS.format(many=tests // 6))
    (folder / "pytest.ini").write_text(
        "[pytest]\nDJANGO_SETTINGS_MODULE = config.settings\npythonpath = .\nasyncio_mode = auto\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )


def cost(folder: Path, *arguments: str, counted: bool = True) -> float:
    """What pytest's process takes: instructions, or milliseconds of processor time; uncounted to compile modules."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:faker"]
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=no"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    done = subprocess.run(
        [*(valgrind if counted and available() else []), *command, *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found[1]) / 1e6 if found else (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) * 1000


def main(tests: int) -> None:
    """Print both counts, and the share."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, tests)
        cost(folder, "--backchannel-report=json", counted=False)
        plain = cost(folder)
        reported = cost(folder, "--backchannel-report=json")
    print(f"{tests} tests, {TASKS} tasks, {ROUTES} routes")
    unit = "million instructions" if available() else "ms of processor time"
    print(f"  without   {plain:12,.0f} {unit}")
    print(f"  with      {reported:12,.0f} {unit}: {100 * (reported / plain - 1):+.1f} %")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
