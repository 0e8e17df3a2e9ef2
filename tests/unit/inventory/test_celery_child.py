"""A process of its own loads a project as `celery -A` does, and says what a worker would have."""

from __future__ import annotations

import json
import sys

import pytest
from support.versions import CELERY

from pytest_backchannel.errors import InventoryFailed
from pytest_backchannel.inventory.celery_inventory import Discovery
from pytest_backchannel.inventory.child.celery_child import _imported_by


def own_tasks(found):
    return {name for name in found.tasks if not name.startswith("celery.")}


def test_what_a_worker_has(site):
    site.append(
        "site_config/production.py",
        """
        from celery.schedules import crontab

        INSTALLED_APPS += ["mail"]
        CELERY_IMPORTS = ["imported"]
        CELERY_TASK_ROUTES = {"mail.*": {"queue": "mail"}}
        CELERY_TASK_TIME_LIMIT = 60
        CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 7200, "sentinel_kwargs": {"password": "very-secret"}}
        CELERY_BEAT_SCHEDULE = {"nightly": {"task": "orders.tasks.confirm", "schedule": crontab(hour=3), "args": (1,)}}
        """,
    )
    site.append(
        "site_config/celery.py",
        """
        app.autodiscover_tasks(related_name="periodic")

        @app.on_after_finalize.connect
        def add(sender, **kwargs):
            sender.add_periodic_task(10.0, sender.tasks["mail.tasks.send"].s(), name="often")
        """,
    )
    site.ready("from . import signals")
    task = "from celery import shared_task\n\n@shared_task\ndef {}(): ...\n"
    site.write("orders/signals.py", task.format("on_save"))
    site.write("orders/periodic.py", task.format("sweep"))
    site.write("imported.py", task.format("included"))
    site.write("mail/__init__.py", "")
    site.write("mail/tasks/__init__.py", task.format("send") + "from . import more\n")
    site.write("mail/tasks/more.py", task.format("more"))

    found = site.inventory()

    assert own_tasks(found) == {
        "imported.included",
        "mail.tasks.more.more",
        "mail.tasks.send",
        "orders.periodic.sweep",
        "orders.signals.on_save",
        "orders.tasks.confirm",
    }
    confirm = found.tasks["orders.tasks.confirm"]
    assert (confirm.module, confirm.line) == ("orders.tasks", 4)
    assert confirm.file == str(site.path / "orders" / "tasks.py")
    assert confirm.options["acks_late"] is True
    if CELERY >= (5, 7):  # before, the setting is none of the task's own options
        assert confirm.options["time_limit"] == 60
    assert (confirm.queue, found.tasks["mail.tasks.send"].queue) == ("celery", "mail")
    assert found.routes == ["'mail.*': {'queue': 'mail'}"]
    assert list(found.queues) == ["celery"]
    assert {name: entry.task for name, entry in found.beat.items()} == {
        "nightly": "orders.tasks.confirm",
        "often": "mail.tasks.send",
    }
    assert found.settings["broker_url"] == "redis://"
    assert found.settings["broker_transport_options"] == {"visibility_timeout": 7200, "sentinel_kwargs": {}}
    assert found.originals["databases"] == {"default": "django.db.backends.postgresql"}
    assert found.originals["channel_layers"] == {"default": "channels_redis.core.RedisChannelLayer"}
    assert (found.app, found.main, found.settings_module) == (
        "site_config.celery:app",
        "site",
        "site_config.production",
    )
    assert list(found.installed_apps) == ["django.contrib.contenttypes", "django.contrib.auth", "orders", "mail"]
    assert found.discovered == [
        Discovery(packages=found.installed_apps, related_name=name) for name in ("tasks", "periodic")
    ]
    assert found.modules["orders.signals"] == str(site.path / "orders" / "signals.py")
    assert "orders.jobs" not in found.modules
    assert list(found.unknown) == []
    assert not {name for name in sys.modules if name.startswith(("orders", "site_config"))}


def test_no_secret_is_written(site, tmp_path):
    site.inventory(folder=tmp_path)
    (file,) = tmp_path.glob("backchannel-inventory-*.json")
    assert "very-secret" not in file.read_text()
    assert "example.com" not in file.read_text()


def test_what_only_the_urlconf_imports_is_marked(site):
    site.write("site_config/urls.py", "from orders import jobs\nurlpatterns = []\n")
    found = site.inventory()
    assert {name: found.tasks[name].only_by_checks for name in own_tasks(found)} == {
        "orders.tasks.confirm": False,
        "orders.jobs.rebuild": True,
    }
    assert list(found.unknown) == []


def test_a_task_of_another_app_that_only_the_urlconf_imports(site):
    """A worker looks for tasks and runs the checks before it makes its app final: it has the tasks of both apps."""
    site.write("site_config/other.py", "from celery import Celery\n\nother = Celery('other')\n")
    body = "from site_config.other import other\n\n@other.task\ndef {}(): ...\n"
    site.write("orders/streams.py", body.format("publish"))
    site.write("orders/periodic.py", body.format("sweep"))
    site.append("site_config/celery.py", "app.autodiscover_tasks(related_name='periodic')\n")
    site.write("site_config/urls.py", "from orders import streams\nurlpatterns = []\n")
    found = site.inventory()
    assert {name: found.tasks[name].only_by_checks for name in own_tasks(found)} == {
        "orders.tasks.confirm": False,
        "orders.periodic.sweep": False,
        "orders.streams.publish": True,
    }


def test_the_app_is_found_beside_the_settings_of_production(site):
    assert site.inventory(app="").app == "site_config.celery:app"


def test_it_runs_as_a_worker_does_and_not_as_a_test(site, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    site.append(
        "site_config/production.py",
        """
        import os, sys
        assert "pytest" not in sys.modules
        assert not [name for name in os.environ if name.startswith("PYTEST_")]
        assert os.environ["DJANGO_SETTINGS_MODULE"] == __name__
        assert sys.argv == ["celery", "-A", "site_config.celery", "worker"]
        """,
    )
    assert own_tasks(site.inventory()) == {"orders.tasks.confirm"}


# ----------------------------------------------------------------------- nothing is reached


REACHES = {
    "Order.objects.count()": "a query of the database 'default'",
    "Order.objects.create(reference='a')": "a query of the database 'default'",
    "connection.ensure_connection()": "a connection to the database 'default'",
    "transaction.atomic().__enter__()": "a connection to the database 'default'",
    "cache.get('a')": "a use of a cache",
    "cache.get_or_set('a', 1)": "a use of a cache",
    "confirm.delay(1)": "a connection to the broker",
    "confirm.AsyncResult('a').state": "a read from the result backend",
    "async_to_sync(get_channel_layer().group_send)('room', {'type': 'x'})": "a group send to the channel layer",
    "psycopg.connect('host=127.0.0.1 port=9')": "a connection by psycopg",
    "psycopg.Connection.connect('host=127.0.0.1 port=9')": "a connection by psycopg",
    "socket.create_connection(('127.0.0.1', 9))": "a connection to ('127.0.0.1', 9)",
    "socket.create_connection(('example.com', 80))": "a look-up of a host name",
    "socket.create_server(('127.0.0.1', 0))": "a server socket",
    "socket.socket(socket.AF_UNIX).connect('/nowhere')": "a connection to '/nowhere'",
}


def test_each_way_out_is_refused_and_told_with_its_line_though_the_code_catches_the_error(site):
    lines = [
        "import contextlib, socket",
        "import psycopg",
        "from asgiref.sync import async_to_sync",
        "from channels.layers import get_channel_layer",
        "from django.core.cache import cache",
        "from django.db import DatabaseError, connection, transaction",
        "from .models import Order",
        "from .tasks import confirm",
    ]
    for code in REACHES:
        lines.append("with contextlib.suppress(DatabaseError, OSError):")
        lines.append(f"    {code}")
    site.ready("\n".join(lines))
    found = site.inventory()
    apps = site.path / "orders" / "apps.py"
    numbers = {text.strip(): number for number, text in enumerate(apps.read_text().splitlines(), 1)}
    # async_to_sync() has a thread of its own, where nothing shows who has asked.
    lines_of = {code: "" if "async_to_sync" in code else f" [{apps}:{numbers[code]}]" for code in REACHES}
    assert list(found.unknown) == [f"refused: {what}{lines_of[code]}" for code, what in REACHES.items()]
    assert own_tasks(found) == {"orders.tasks.confirm"}


def test_a_database_in_a_file_is_neither_read_nor_made(site):
    site.append(
        "site_config/production.py",
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {str(site.path / 'db')!r}}}}}",
    )
    site.ready(
        """
        from django.db import DatabaseError, connection
        assert connection.vendor == "sqlite"
        try:
            connection.cursor()
        except DatabaseError:
            pass
        """
    )
    (refused,) = site.inventory().unknown
    assert refused.startswith("refused: a query of the database 'default' [")
    assert not (site.path / "db").exists()


def test_what_an_import_may_do_is_no_refusal(site):
    """Names of this host, an event loop, forms and querysets that nobody evaluates, a closed connection."""
    site.ready(
        """
        import asyncio, contextlib, socket
        from django import forms
        from django.db import close_old_connections, connection, models
        from .models import Order

        socket.gethostbyname("localhost"), socket.getaddrinfo("127.0.0.1", 80)
        with contextlib.suppress(OSError):
            socket.socket(socket.AF_INET6).bind(("::1", 0))  # as urllib3 asks whether there is IPv6
        asyncio.new_event_loop().close()
        assert connection.vendor == "postgresql"
        type("OrderForm", (forms.ModelForm,), {"Meta": type("Meta", (), {"model": Order, "fields": ["reference"]})})
        Order.objects.filter(reference="a")
        close_old_connections()
        """
    )
    assert list(site.inventory().unknown) == []


def test_models_of_a_database_of_production_load_without_it(site):
    site.append(
        "site_config/production.py",
        """
        INSTALLED_APPS += [
            "django.contrib.postgres", "django.contrib.sites", "django.contrib.sessions", "django.contrib.messages",
            "django.contrib.admin",
        ]
        DATABASES["default"].update(ATOMIC_REQUESTS=True, CONN_MAX_AGE=60, OPTIONS={"pool": True})
        DATABASES["replica"] = {"ENGINE": "some_package.that.is.not.installed"}
        TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages"]}}]
        MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware"]
        SITE_ID = 1
        """,
    )
    site.write(
        "orders/models.py",
        """
        from django.contrib.postgres.constraints import ExclusionConstraint
        from django.contrib.postgres.fields import ArrayField, DateRangeField
        from django.contrib.postgres.indexes import GinIndex
        from django.db import models
        from django.db.models.functions import Lower

        class Order(models.Model):
            reference = models.CharField(max_length=20, db_default="")
            labels = ArrayField(models.TextField(), default=list)
            details = models.JSONField(default=dict)
            period = DateRangeField(null=True)
            number = models.PositiveIntegerField(default=0)

            class Meta:
                indexes = [GinIndex(fields=["labels"])]
                constraints = [
                    models.UniqueConstraint(Lower("reference"), name="once"),
                    models.CheckConstraint(condition=models.Q(number__gt=0), name="positive"),
                    ExclusionConstraint(name="apart", expressions=[("period", "&&")]),
                ]
        """,
    )
    site.write(
        "site_config/urls.py",
        "from django.contrib import admin\nfrom django.urls import path\n"
        "urlpatterns = [path('admin/', admin.site.urls)]\n",
    )
    site.write(
        "orders/admin.py", "from django.contrib import admin\nfrom .models import Order\nadmin.site.register(Order)\n"
    )
    assert list(site.inventory().unknown) == []


# ------------------------------------------------------------------------ what can't be known


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        pytest.param(
            "site_config/production.py",
            "import os\nos.environ['SITE_TOKEN']",
            r"KeyError: 'SITE_TOKEN' \[.*production.py:\d+\]",
            id="a variable of the environment is missing",
        ),
        pytest.param(
            "orders/tasks.py",
            "import gone_away",
            r"ModuleNotFoundError: No module .*tasks.py:\d+\]",
            id="a task module",
        ),
        pytest.param(
            "orders/tasks.py", "raise SystemExit('no\\nreason')", r"SystemExit: no \[.*tasks.py:\d+\]$", id="it leaves"
        ),
        pytest.param("orders/tasks.py", "import os; os._exit(3)", "its process has ended early: ", id="it ends"),
        pytest.param(
            "site_config/celery.py",
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'site_config.other'",
            "has loaded the settings 'site_config.other': it sets DJANGO_SETTINGS_MODULE itself",
            id="other settings",
        ),
        pytest.param(
            "site_config/production.py", "INSTALLED_APPS = []", "it has no INSTALLED_APPS", id="half of the settings"
        ),
    ],
)
def test_a_project_that_does_not_load(site, monkeypatch, file, text, why):
    monkeypatch.delenv("SITE_TOKEN", raising=False)
    site.write("site_config/other.py", (site.path / "site_config/production.py").read_text())
    site.append(file, text)
    with pytest.raises(
        InventoryFailed, match=f"what a worker knows under site_config.production is not known: .*{why}"
    ) as e:
        site.inventory()
    assert "\n" not in str(e.value)


def test_why_it_is_not_known_is_one_line_whatever_the_project_raises(site):
    site.append("site_config/production.py", 'raise ValueError("no   broker\\n  in this line")')
    with pytest.raises(InventoryFailed) as caught:
        site.inventory()
    text = str(caught.value)
    assert "ValueError: no broker" in text
    assert text == " ".join(text.split())


def test_an_import_that_never_ends_is_cut_off_with_all_that_it_has_started(site, tmp_path):
    site.append(
        "orders/tasks.py",
        f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
        time.sleep(60)
        """,
    )
    with pytest.raises(InventoryFailed, match="has not ended within 8 s: something that it imports waits"):
        site.inventory(time_limit=8)
    assert has_ended(int((tmp_path / "pid").read_text()))


def has_ended(pid):
    import time
    from pathlib import Path

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_what_a_failing_check_of_djangos_would_import_is_not_known(site):
    site.write("site_config/urls.py", "import gone_away\n")
    (unknown,) = site.inventory().unknown
    assert unknown == "Django's system checks: ModuleNotFoundError: No module named 'gone_away'"


# ------------------------------------------------------ what runs when a worker starts


def test_receivers_of_the_workers_start_are_read_and_what_they_import_is_imported(site):
    site.append(
        "site_config/celery.py",
        """
        from celery import bootsteps, signals

        @signals.worker_init.connect
        def load(**kwargs):
            helper()
            raise AssertionError("it is not run")

        def helper():
            from orders import jobs

        @signals.worker_process_init.connect(weak=False)
        def load_more(**kwargs):
            import more_jobs.nested

        class Step(bootsteps.StartStopStep):
            def start(self, worker):
                def inner():
                    from .stepping import task

        app.steps["worker"].add(Step)
        """,
    )
    task = "from celery import shared_task\n\n@shared_task\ndef task(): ...\n"
    site.write("more_jobs/__init__.py", "")
    site.write("more_jobs/nested.py", task)
    site.write("site_config/stepping.py", task)
    found = site.inventory()
    assert list(found.unknown) == []
    assert own_tasks(found) == {
        "orders.tasks.confirm",
        "orders.jobs.rebuild",
        "more_jobs.nested.task",
        "site_config.stepping.task",
    }


def test_a_receiver_that_imports_by_name_makes_it_incomplete(site):
    site.append(
        "site_config/celery.py",
        """
        from importlib import import_module
        from celery import signals

        @signals.worker_init.connect
        def load(**kwargs):
            import_module("orders." + "jobs")
        """,
    )
    (unknown,) = site.inventory().unknown
    assert unknown == "the receiver of worker_init in site_config.celery imports modules by name, and was not run"


def test_how_python_compiles_an_import():
    def function():
        import json.decoder  # noqa: F401
        from email import message as m  # noqa: F401
        from email.utils import formatdate  # noqa: F401

    assert list(_imported_by(function.__code__, "")) == ["json.decoder", "email", "email.message", "email.utils"]
    namespace = {"__package__": "email.mime"}
    exec("def relative():\n    from .. import utils\n    from .text import MIMEText\n    from . import text", namespace)
    assert list(_imported_by(namespace["relative"].__code__, "email.mime")) == [
        "email",
        "email.utils",
        "email.mime.text",
        "email.mime",
        "email.mime.text",
    ]


def test_an_answer_is_plain_data(site, tmp_path):
    site.inventory(folder=tmp_path)
    (file,) = tmp_path.glob("backchannel-inventory-*.json")
    assert set(json.loads(file.read_text())) == {"found"}
