"""A project with one settings.py for all, whose servers are nowhere: green with nothing configured but its name."""

from __future__ import annotations

from importlib.util import find_spec
from textwrap import dedent

import pytest

pytest.importorskip("channels_redis")
pytest.importorskip("django_celery_results")

SENTRY = """
    import sentry_sdk
    sentry_sdk.init(dsn="https://public@127.0.0.1:1/1", traces_sample_rate=1.0)
"""
# Nothing listens on port 1.
FILES = {
    "manage.py": "",
    "pytest.ini": """
        [pytest]
        DJANGO_SETTINGS_MODULE = config.settings
    """,
    "config/__init__.py": "from .celery import app as celery_app",
    "config/celery.py": """
        import os
        from celery import Celery

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        app = Celery("config")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
    """,
    "config/settings.py": """
        from pathlib import Path

        SECRET_KEY = "of the tests"
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "config.urls"
        ASGI_APPLICATION = "config.asgi.application"
        USE_TZ = True
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        INSTALLED_APPS = [
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
            "django_celery_results", "shop",
        ]
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ]
        DATABASES = {
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "shop.sqlite3"}
        }
        CHANNEL_LAYERS = {"default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/1"]},
        }}
        CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
        CELERY_RESULT_BACKEND = "django-db"
        CELERY_TASK_TRACK_STARTED = True
    """,
    "config/urls.py": """
        from django.urls import path
        from shop.views import order

        urlpatterns = [path("orders/", order)]
    """,
    "config/asgi.py": """
        import os
        from django.core.asgi import get_asgi_application

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django_application = get_asgi_application()

        from channels.routing import ProtocolTypeRouter, URLRouter
        from django.urls import path
        from shop.consumers import OrderConsumer
        from shop.tokens import TokenMiddleware

        application = ProtocolTypeRouter({
            "http": django_application,
            "websocket": TokenMiddleware(URLRouter([path("ws/orders/", OrderConsumer.as_asgi())])),
        })
    """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.conf import settings
        from django.db import models

        class Token(models.Model):
            key = models.CharField(max_length=40, unique=True)
            user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

        class Order(models.Model):
            user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
            paid = models.BooleanField(default=False)
    """,
    "shop/tokens.py": """
        from urllib.parse import parse_qs
        from channels.db import database_sync_to_async
        from shop.models import Token

        class TokenMiddleware:
            def __init__(self, application):
                self.application = application

            async def __call__(self, scope, receive, send):
                [key] = parse_qs(scope["query_string"].decode()).get("token", [""])
                user = await database_sync_to_async(self.user_of)(key)
                return await self.application({**scope, "user": user}, receive, send)

            def user_of(self, key):
                token = Token.objects.filter(key=key).select_related("user").first()
                return token.user if token else None
    """,
    "shop/consumers.py": """
        from channels.generic.websocket import AsyncJsonWebsocketConsumer

        class OrderConsumer(AsyncJsonWebsocketConsumer):
            async def connect(self):
                if self.scope["user"] is None:
                    await self.close(4003)
                    return
                self.group = f"orders.{self.scope['user'].pk}"
                await self.channel_layer.group_add(self.group, self.channel_name)
                await self.accept()

            async def disconnect(self, code):
                if self.scope["user"] is not None:
                    await self.channel_layer.group_discard(self.group, self.channel_name)

            async def order_paid(self, event):
                await self.send_json({"paid": event["order"]})
    """,
    "shop/tasks.py": """
        from asgiref.sync import async_to_sync
        from celery import shared_task
        from channels.layers import get_channel_layer
        from shop.models import Order

        @shared_task
        def pay(order_id):
            order = Order.objects.get(pk=order_id)
            order.paid = True
            order.save()
            message = {"type": "order.paid", "order": order.pk}
            async_to_sync(get_channel_layer().group_send)(f"orders.{order.user_id}", message)
            return "paid"
    """,
    "shop/views.py": """
        from functools import partial
        from django.db import transaction
        from django.http import JsonResponse
        from shop.models import Order
        from shop.tasks import pay

        def order(request):
            with transaction.atomic():
                order = Order.objects.create(user=request.user)
                transaction.on_commit(partial(pay.delay, order.pk))
            return JsonResponse({"order": order.pk})
    """,
    "test_shop.py": """
        import pytest
        from django.contrib.auth import get_user_model
        from django.test import TestCase
        from django_celery_results.models import TaskResult
        from shop.models import Order, Token
        from shop.tasks import pay

        def make_user(name):
            user = get_user_model().objects.create_user(name)
            Token.objects.create(key=f"token-of-{name}", user=user)
            return user

        @pytest.mark.allow_lost("no_members")
        def test_the_view_enqueues(client, db, task_queue):
            client.force_login(make_user("ada"))
            client.post("/orders/")
            order = Order.objects.get()
            task_queue.assert_enqueued(pay.s(order.pk))
            task_queue.run()
            assert TaskResult.objects.get().status == "SUCCESS"

        @pytest.mark.allow_lost("no_members")
        def test_eager(db, celery_eager):
            order = Order.objects.create(user=make_user("ada"))
            assert pay.delay(order.pk).get() == "paid"

        @pytest.mark.asyncio
        async def test_a_task_reaches_the_socket(db, task_queue, websocket, async_client):
            from asgiref.sync import sync_to_async
            user = await sync_to_async(make_user)("ada")
            await async_client.aforce_login(user)
            async with websocket("/ws/orders/", query={"token": "token-of-ada"}) as browser:
                order = (await async_client.post("/orders/")).json()["order"]
                await task_queue.arun()
                assert await browser.receive_json() == {"paid": order}

        @pytest.mark.asyncio
        async def test_a_stranger(db, websocket):
            from pytest_backchannel.errors import WebSocketRejected
            with pytest.raises(WebSocketRejected):
                async with websocket("/ws/orders/?token=guessed"):
                    pass

        @pytest.mark.usefixtures("task_queue", "websocket")
        class ShopTests(TestCase):
            @classmethod
            def setUpTestData(cls):
                cls.user = make_user("grace")

            @pytest.mark.allow_lost("no_members")
            def test_the_view_enqueues(self):
                self.client.force_login(self.user)
                self.client.post("/orders/")
                [task] = self.task_queue
                assert task.name == pay.name
                self.task_queue.run()
                assert Order.objects.get().paid
                assert TaskResult.objects.count() == 1

            async def test_a_task_reaches_the_socket(self):
                async with self.websocket("/ws/orders/", query={"token": "token-of-grace"}) as browser:
                    order = await Order.objects.acreate(user=self.user)
                    pay.delay(order.pk)
                    await self.task_queue.arun()
                    assert await browser.receive_json() == {"paid": order.pk}

        class TestWithNothingOfOurs(TestCase):
            def test_a_model(self):
                assert not Order.objects.create(user=make_user("joan")).paid
    """,
}


@pytest.mark.parametrize("strict", [False, True])
def test_a_project_with_one_settings_file_and_no_server_is_green(pytester, strict):
    for name, text in FILES.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    if find_spec("sentry_sdk") is not None:
        settings = pytester.path / "config" / "settings.py"
        settings.write_text(settings.read_text() + dedent(SENTRY))
    options = ["-o", "backchannel_strict=true"] if strict else []
    result = pytester.runpytest_subprocess(*options, timeout=120)
    result.assert_outcomes(passed=7)
    assert "unseen behind the request" not in result.stdout.str()
