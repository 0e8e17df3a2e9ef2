"""A process of its own imports the ASGI application alone, and says what a server would have."""

from __future__ import annotations

import pytest

from pytest_backchannel.errors import InventoryFailed

ASGI = """
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")
    from django.core.asgi import get_asgi_application

    django_application = get_asgi_application()

    from channels.routing import ProtocolTypeRouter, URLRouter
    from .routing import patterns

    application = ProtocolTypeRouter({"http": django_application, "websocket": URLRouter(patterns)})
"""
ROUTING = """
    from django.urls import path
    from orders.consumers import Orders

    patterns = [path("ws/orders/<int:pk>/", Orders.as_asgi())]
"""
CONSUMERS = """
    from channels.generic.websocket import WebsocketConsumer
    from .models import Order

    class Orders(WebsocketConsumer):
        def order_changed(self, event): ...
"""


@pytest.fixture
def channels_site(site):
    site.append("site_config/production.py", 'ASGI_APPLICATION = "site_config.asgi.application"')
    site.write("site_config/asgi.py", ASGI)
    site.write("site_config/routing.py", ROUTING)
    site.write("orders/consumers.py", CONSUMERS)
    return site


def test_what_a_web_process_has(channels_site):
    channels_site.append(
        "site_config/production.py",
        """
        EMAIL_HOST, EMAIL_TIMEOUT = "mail.example.com", 30
        CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [("redis.example.com", 6379)]}
        CHANNEL_LAYERS["events"] = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
        CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://:secret@x"}}
        """,
    )

    found = channels_site.web()

    assert (found.application, found.failure, list(found.unknown)) == ("site_config.asgi.application", None, [])
    routes = [(route.protocol, route.path, route.consumer, list(route.handlers)) for route in found.routes]
    assert routes == [
        ("http", "", "", []),
        ("websocket", "/ws/orders/<int:pk>/", "orders.consumers.Orders", ["order_changed"]),
    ]
    assert found.site.mail == {
        "default": {
            "backend": "django.core.mail.backends.smtp.EmailBackend",
            "smtp": True,
            "configured": True,
            "timeout": 30,
        }
    }
    core, memory = found.site.layers["default"], found.site.layers["events"]
    assert (core["blocks_for"], core["memory"], memory["memory"]) == (5, False, True)
    # As redis-py has it: 5 s from version 8 on, and none before.
    assert core["read_timeout"] in (5.0, None)
    assert found.site.caches == {"default": {"backend": "django.core.cache.backends.redis.RedisCache", "local": False}}
    assert "secret" not in repr(found)


def test_a_time_out_of_each_host_counts(channels_site):
    channels_site.append(
        "site_config/production.py",
        """
        CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [
            {"address": "redis://one.example.com", "socket_timeout": None},
            {"address": "redis://two.example.com", "socket_timeout": 3},
        ]}
        """,
    )
    assert channels_site.web().site.layers["default"]["read_timeout"] == 3


def test_an_import_that_only_works_after_another_fails(channels_site):
    early = ASGI.replace("    django_application = get_asgi_application()\n", "").replace(
        "    application =", "    django_application = get_asgi_application()\n    application ="
    )
    channels_site.write("site_config/asgi.py", early)
    failure = channels_site.web().failure
    assert (failure.type, failure.environment) == ("AppRegistryNotReady", False)
    assert failure.text.startswith("AppRegistryNotReady: Apps aren't loaded yet. [")
    assert any("from .routing import patterns" in line for line in failure.traceback)
    assert not any("pytest_backchannel" in line for line in failure.traceback)


@pytest.mark.parametrize(
    ("line", "environment"),
    [
        ("import no_such_package", True),
        ("import orders.no_such_module", False),
        ("os.environ['NO_SUCH_VARIABLE']", True),
        ("{}['key']", False),
        ("from django.core.exceptions import ImproperlyConfigured; raise ImproperlyConfigured('set X')", True),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", True),
        ("from orders.models import Orrder", False),
    ],
)
def test_what_may_be_for_want_of_the_environment(channels_site, line, environment):
    channels_site.append("site_config/asgi.py", line)
    assert channels_site.web().failure.environment is environment


def test_shared_tasks_without_their_app(channels_site):
    channels_site.write("site_config/urls.py", "import orders.views\nurlpatterns = []\n")
    channels_site.write("orders/views.py", "from .tasks import confirm\n")
    found = channels_site.web()
    assert (list(found.without_celery_app), found.celery_app) == (["orders.tasks"], "site_config.celery:app")
    channels_site.write("site_config/__init__.py", "from .celery import app\n")
    found = channels_site.web()
    assert (list(found.without_celery_app), found.celery_app) == ([], "")


def test_without_an_application_the_settings_are_known(site):
    found = site.web()
    assert (found.application, found.failure, list(found.routes)) == ("", None, [])
    assert found.site.layers["default"]["backend"] == "channels_redis.core.RedisChannelLayer"


def test_settings_that_can_not_be_read(site):
    site.append("site_config/production.py", "raise ValueError('has no SECRET')")
    with pytest.raises(InventoryFailed, match="what a web process has under .* ValueError: has no SECRET") as caught:
        site.web()
    assert caught.value.environment


def test_calls_that_wait_for_ever(channels_site):
    channels_site.append(
        "orders/consumers.py",
        """
        import smtplib, urllib.request
        from urllib.request import urlopen as fetch

        def own(url, timeout=None): ...

        def never_run(url, **options):
            urllib.request.urlopen(url)
            fetch(url)
            smtplib.SMTP("mail.example.com", 25)
            urllib.request.urlopen(url, timeout=5)
            urllib.request.urlopen(url, None, 5)
            fetch(url, **options)
            smtplib.SMTP("mail.example.com", 25, None, 5)
            own(url)
        """,
    )
    found = channels_site.web().site.waiting_calls
    assert [call["what"] for call in found] == ["urllib.request.urlopen", "urllib.request.urlopen", "smtplib.SMTP"]
    assert all(call["where"].startswith("site/orders/consumers.py:") for call in found)
    channels_site.append("orders/consumers.py", "import socket; socket.setdefaulttimeout(5)")
    assert channels_site.web().site.waiting_calls == []
