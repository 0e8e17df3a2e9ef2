"""A small site in a folder of its own, which only child processes import."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_backchannel.inventory.child_process import asgi_inventory_of, celery_inventory_of

FILES = {
    "site_config/__init__.py": "",
    "site_config/celery.py": """
        import os
        from celery import Celery

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")
        app = Celery("site")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
    """,
    "site_config/urls.py": "urlpatterns = []",
    "site_config/production.py": """
        SECRET_KEY = "very-secret"
        INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "orders"]
        ROOT_URLCONF = "site_config.urls"
        DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "site", "PASSWORD": "very-secret"}}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": []}}}
        CELERY_BROKER_URL = "redis://:very-secret@broker.example.com/0"
        CELERY_RESULT_BACKEND = "redis://:very-secret@broker.example.com/1"
    """,
    "orders/__init__.py": "",
    "orders/models.py": """
        from django.db import models

        class Order(models.Model):
            reference = models.CharField(max_length=20)
    """,
    "orders/tasks.py": """
        from celery import shared_task

        @shared_task(acks_late=True)
        def confirm(order): ...
    """,
    "orders/jobs.py": """
        from celery import shared_task

        @shared_task
        def rebuild(): ...
    """,
}


class Site:
    """The files of one project; its names are no other test's, so that nothing of it is in this process."""

    def __init__(self, path):
        self.path = path
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def append(self, name, text):
        path = self.path / name
        path.write_text(path.read_text() + "\n" + dedent(text))

    def ready(self, body):
        """Have the application's ready() do something."""
        lines = dedent(body).strip().replace("\n", "\n        ")
        self.write(
            "orders/apps.py",
            f"from django.apps import AppConfig\n\n\nclass OrdersConfig(AppConfig):\n    name = 'orders'\n\n"
            f"    def ready(self):\n        {lines}\n",
        )

    def inventory(self, settings="site_config.production", **options):
        return celery_inventory_of(settings, **{"app": "site_config.celery:app", **options})

    def web(self, settings="site_config.production", **options):
        return asgi_inventory_of(settings, **options)


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    return Site(folder)
