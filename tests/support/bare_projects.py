"""Projects that nobody has tested yet: their files, and ``backchannel init`` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

MANAGE = """
    import os
    import sys

    if __name__ == "__main__":
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
"""
SETTINGS = """
    from pathlib import Path

    BASE_DIR = Path(__file__).resolve().parent.parent
    SECRET_KEY = "of production"
    ALLOWED_HOSTS = ["shop.example"]
    ROOT_URLCONF = "config.urls"
    USE_TZ = True
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    INSTALLED_APPS = [
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "shop",
    ]
    MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
"""
# Nothing listens on port 1.
CELERY_SETTINGS = """
    CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    CELERY_RESULT_BACKEND = "redis://127.0.0.1:1/1"
    CELERY_TASK_TIME_LIMIT, CELERY_TASK_SOFT_TIME_LIMIT = 60, 50
"""
CHANNELS_SETTINGS = """
    INSTALLED_APPS += ["channels"]
    ASGI_APPLICATION = "config.asgi.application"
    CHANNEL_LAYERS = {"default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1/2"]},
    }}
"""
CELERY_APP = """
    import os

    from celery import Celery

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    app = Celery("config")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
"""
ASGI = """
    import os

    from django.core.asgi import get_asgi_application

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    http = get_asgi_application()

    from channels.auth import AuthMiddlewareStack
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path
    from shop import consumers

    application = ProtocolTypeRouter({{
        "http": http,
        "websocket": AuthMiddlewareStack(URLRouter([
            path("ws/echo/", consumers.Echo.as_asgi()),
            path("ws/orders/<int:order_id>/", consumers.Orders.as_asgi()),
            path("ws/broken/", consumers.Broken.as_asgi()),
        ])),
    }})
"""
MODELS = """
    import uuid

    from django.db import models

    class Customer(models.Model):
        email = models.EmailField(unique=True)

    class Order(models.Model):
        customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
        reference = models.CharField(max_length=20)
        amount = models.DecimalField(max_digits=8, decimal_places=2)
        placed_at = models.DateTimeField()
        confirmed = models.BooleanField(default=False)
        confirmed_at = models.DateTimeField(null=True, blank=True)

    class Parcel(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        order = models.ForeignKey(Order, on_delete=models.CASCADE)
        sent = models.BooleanField(default=False)
"""
TASKS = """
    import random
    import urllib.request
    from pathlib import Path

    from celery import shared_task
    from django.core.mail import send_mail
    from django.utils import timezone

    from .models import Order, Parcel

    @shared_task
    def add(x, y):
        return x + y

    @shared_task(bind=True, max_retries=3)
    def confirm(self, order_id):
        order = Order.objects.get(pk=order_id)
        order.confirmed, order.confirmed_at = True, timezone.now()
        order.save()
        send_mail("Confirmed", "Thank you.", "shop@shop.example", [order.customer.email])
        return order.pk

    @shared_task(ignore_result=True)
    def send_parcel(parcel_id):
        Parcel.objects.filter(pk=parcel_id).update(sent=True)

    @shared_task
    def pack(pk):
        order = Order.objects.get(pk=pk)
        send_parcel.delay(str(Parcel.objects.create(order=order).pk))

    @shared_task
    def greet(name: str, times: int = 2):
        return f"Hello {name}" * times

    @shared_task
    def nothing_to_see():
        pass

    @shared_task
    def by_chance():
        return random.random()

    @shared_task
    def ask_the_bank(order_id):
        try:
            urllib.request.urlopen("http://127.0.0.1:1/", timeout=1)
        except OSError:
            return "refused"

    @shared_task
    def tidy():
        Path("{precious}").unlink()

    @shared_task(bind=True)
    def impatient(self):
        raise self.retry(countdown=1)

    @shared_task
    def cancel(order_id):
        raise RuntimeError("no order is ever cancelled")
"""
CONSUMERS = """
    from channels.generic.websocket import AsyncJsonWebsocketConsumer

    class Echo(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            await self.send_json(content)

    class Orders(AsyncJsonWebsocketConsumer):
        async def connect(self):
            if self.scope["user"].is_anonymous:
                await self.close(4003)
                return
            await self.accept()
            await self.send_json({"order": self.scope["url_route"]["kwargs"]["order_id"]})

    class Broken(AsyncJsonWebsocketConsumer):
        async def connect(self):
            raise LookupError("nobody has tried this")
"""


def project(folder: Path, *, celery: bool, channels: bool, package: bool = False, tasks: str = TASKS) -> Path:
    """Write a project.

    Args:
        folder: where.
        celery: whether it has tasks.
        channels: whether it has consumers.
        package: whether its settings are ``config/settings/base.py`` and ``production.py``.
        tasks: the module of its tasks.
    """
    settings = "config.settings.production" if package else "config.settings"
    parts = [SETTINGS, *([CELERY_SETTINGS] if celery else []), *([CHANNELS_SETTINGS] if channels else [])]
    text = "\n".join(map(dedent, parts))
    files = {
        "manage.py": MANAGE.format(settings=settings),
        "config/__init__.py": "from .celery import app as celery_app\n" if celery else "",
        "config/urls.py": "urlpatterns = []\n",
        "shop/__init__.py": "",
        "shop/models.py": MODELS,
    }
    if package:
        files |= {
            "config/settings/__init__.py": "",
            "config/settings/base.py": text.replace("parent.parent", "parent.parent.parent"),
            "config/settings/production.py": "from .base import *\n\nSECURE_SSL_REDIRECT = True\n",
        }
    else:
        files["config/settings.py"] = text
    if celery:
        files |= {"config/celery.py": CELERY_APP.format(settings=settings), "shop/tasks.py": tasks}
    if channels:
        files |= {"config/asgi.py": ASGI.format(settings=settings), "shop/consumers.py": CONSUMERS}
    for name, content in files.items():
        write(folder, name, content)
    return folder


def write(folder: Path, name: str, text: str) -> Path:
    """Write one file, dedented."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).lstrip("\n"))
    return path


def tree(folder: Path) -> dict[str, str]:
    """Every file and its text, without what Python and pytest leave."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and ".pytest_cache" not in path.parts
    }


def init(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``backchannel init`` there, without a terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DJANGO"))}
    command = [sys.executable, "-m", "pytest_backchannel.cli", "init", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        **options,  # type: ignore[call-overload]
    )
