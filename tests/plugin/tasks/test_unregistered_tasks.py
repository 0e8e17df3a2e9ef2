"""Tasks that no fresh worker knows are told, with the module and why it is not imported; all others are left alone."""

from __future__ import annotations

import pytest

TASK = "from celery import shared_task\n\n\n@shared_task\ndef {name}():\n    return 1\n"


@pytest.fixture
def site(project):
    """A project that names its settings of production, and counts the processes that load them for an inventory."""
    project.write(
        "config/production.py",
        f"""
        import os, sys
        from .settings import *

        CELERY_BROKER_URL = "redis://redis.example/0"
        if sys.argv[0] == "celery":
            open({str(project.path / "loads")!r}, "a").write(f"{{os.getpid()}} ")
        """,
    )
    project.write("shop/jobs.py", TASK.format(name="rebuild"))
    project.ini("backchannel_production_settings = config.production")
    return project


def loads(site):
    file = site.path / "loads"
    # A process reads them more than once where they fail.
    return len(set(file.read_text().split())) if file.exists() else 0


def test_a_task_in_a_module_that_no_worker_imports(site):
    result = site.test(
        """
        import pytest
        from celery.exceptions import NotRegistered
        from shop.jobs import rebuild
        from shop.tasks import add

        def test_unknown(task_queue):
            rebuild.delay()
            assert task_queue.run() == {"FAILURE": 1}

        @pytest.mark.allow_lost("unknown_task")
        def test_as_on_a_real_worker(task_queue):
            result = rebuild.delay()
            with pytest.raises(NotRegistered):
                result.get()

        def test_known(task_queue):
            assert add.delay(1, 1).get() == 2

        def test_the_call_site_alone(task_queue):
            rebuild.delay()
            task_queue.assert_enqueued(rebuild.s())
        """
    )
    result.assert_outcomes(failed=1, passed=3)
    result.stdout.fnmatch_lines(
        [
            "*unknown_task: no worker knows a task named 'shop.jobs.rebuild': its message was thrown away.*",
            "*It is defined in shop.jobs [[]*jobs.py[]], which `celery -A config.celery` does not import under "
            "config.production: app.autodiscover_tasks() looks in 'shop' for 'shop.tasks', which does not import it; "
            "nor does anything else that a worker imports.",
            "*Fix: import it in shop.tasks, or name it in the setting CELERY_IMPORTS = [[]'shop.jobs'[]] or in *",
        ]
    )
    assert loads(site) == 1
    result.stdout.no_fnmatch_line("backchannel: *")


def test_it_is_asked_once_a_run(site):
    site.write(
        "test_it.py",
        """
        import pytest
        from shop.tasks import add

        @pytest.mark.parametrize("n", range(8))
        def test_it(task_queue, n):
            assert add.delay(n, 1).get() == n + 1
        """,
    )
    site.run("-n", "2", "-p", "xdist", "--dist", "each").assert_outcomes(passed=16)
    assert loads(site) == 1
    site.test("from shop.tasks import add\n\ndef test_it(task_queue):\n    add.delay(1, 1)\n").assert_outcomes(passed=1)
    assert loads(site) == 2


def test_without_settings_of_production_nothing_is_asked(site):
    site.ini()
    site.test(
        """
        from shop.jobs import rebuild

        def test_it(task_queue):
            assert rebuild.delay().get() == 1
        """
    ).assert_outcomes(passed=1)
    assert loads(site) == 0


def test_what_a_worker_imports_by_another_way_is_known(site):
    site.write(
        "config/celery.py",
        """
        import os
        from celery import Celery, signals

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

        app = Celery("sample", include=["included"])
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
        app.autodiscover_tasks(["outside"], related_name="periodic")

        @signals.worker_init.connect
        def load(**kwargs):
            import at_start
        """,
    )
    site.settings('INSTALLED_APPS += ["mail.apps.MailConfig"]\nCELERY_IMPORTS = ["imported"]')
    for module in (
        "included",
        "imported",
        "at_start",
        "outside/periodic",
        "mail/hooks",
        "mail/tasks/__init__",
        "viewed",
    ):
        name = module.replace("/__init__", "").replace("/", "_")
        site.write(f"{module}.py", TASK.format(name=name))
    site.write("outside/__init__.py", "")
    site.write("mail/__init__.py", "")
    site.write(
        "mail/apps.py",
        """
        from django.apps import AppConfig

        class MailConfig(AppConfig):
            name = "mail"

            def ready(self):
                from . import hooks
        """,
    )
    views = site.path / "shop" / "views.py"
    views.write_text("import viewed\n" + views.read_text())
    result = site.test(
        """
        import pytest
        import at_start, imported, included, mail.hooks, mail.tasks, outside.periodic, viewed
        from config.celery import app

        TASKS = [name for name in sorted(app.tasks) if not name.startswith("celery.")]
        OURS = [name for name in TASKS if not name.startswith("shop.")]

        def test_there_are_some():
            assert len(OURS) == 7

        @pytest.mark.parametrize("name", OURS)
        def test_it(task_queue, name):
            assert app.tasks[name].delay().get() == 1
        """
    )
    result.assert_outcomes(passed=8)
    assert loads(site) == 1


def test_tasks_of_the_tests_are_exempt(site):
    site.write("shop/plain.py", "def plain():\n    return 1\n")
    site.write("tests/__init__.py", "")
    site.write("tests/helpers/__init__.py", "")
    site.write("tests/helpers/tasks.py", TASK.format(name="helps"))
    site.write("conftest.py", TASK.format(name="of_conftest"))
    result = site.test(
        """
        from celery import shared_task
        from config.celery import app
        from conftest import of_conftest
        from shop.plain import plain
        from tests.helpers.tasks import helps

        @shared_task
        def of_the_module():
            return 1

        def test_it(task_queue):
            @app.task(shared=False)
            def of_the_test():
                return 1

            of_the_project = app.task(plain, shared=False, name="made in a test")
            for task in (of_conftest, helps, of_the_module, of_the_test, of_the_project):
                assert task.delay().get() == 1
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("settings", "told", "workers"),
    [
        pytest.param(
            "os.environ['SITE_TOKEN'] if sys.argv[0] == 'celery' else None",
            "what a worker knows under config.production is not known: KeyError: 'SITE_TOKEN' [[]*production.py:*[]]. "
            "Tasks that no worker knows are not told.",
            "0",
            id="a variable is missing",
        ),
        pytest.param(
            "INSTALLED_APPS += ['asks']",
            "what a worker knows under config.production is not known in full: refused: a query of the database "
            "'default' [[]*apps.py:10[]]. Tasks that no worker knows are not told.",
            "2",
            id="ready() asks the database",
        ),
        pytest.param(
            "INSTALLED_APPS = []",
            "what a worker knows under config.production is not known: *: it has no INSTALLED_APPS*",
            "0",
            id="half of the settings",
        ),
    ],
)
def test_what_is_not_known_is_told_in_one_line_and_never_as_a_verdict(site, settings, told, workers):
    site.write("asks/__init__.py", "")
    site.write(
        "asks/apps.py",
        """
        from django.apps import AppConfig

        class AsksConfig(AppConfig):
            name = "asks"

            def ready(self):
                from django.contrib.auth.models import User
                try:
                    User.objects.exists()
                except Exception:
                    pass
        """,
    )
    production = site.path / "config" / "production.py"
    production.write_text(production.read_text() + settings + "\n")
    site.write(
        "test_it.py",
        """
        import pytest
        from shop.jobs import rebuild

        @pytest.mark.parametrize("n", range(4))
        def test_it(task_queue, n):
            assert rebuild.delay().get() == 1
        """,
    )
    result = site.run("-p", "xdist", "-n", workers)
    result.assert_outcomes(passed=4)
    lines = [line for line in result.stdout.lines if line.startswith("backchannel: ")]
    assert len(lines) == 1
    result.stdout.fnmatch_lines([f"backchannel: {told}"])
    assert loads(site) == 1


def test_the_settings_of_the_tests_may_stand_elsewhere(site):
    site.write("tests/__init__.py", "")
    site.write("tests/settings.py", "from config.settings import *\nINSTALLED_APPS += ['stock']\n")
    site.write("stock/__init__.py", "")
    site.write("stock/tasks.py", TASK.format(name="count"))
    site.ini("backchannel_production_settings = config.production", settings="tests.settings")
    result = site.test(
        """
        from stock.tasks import count
        from shop.tasks import add
        import config.celery

        def test_known(task_queue):
            assert add.delay(1, 2).get() == 3

        def test_unknown(task_queue):
            count.delay()
            task_queue.run()
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*It is defined in stock.tasks *: no app of its INSTALLED_APPS holds the module, *"])


def test_another_app_than_that_of_the_tests_is_no_ground_for_a_verdict(site):
    site.write("other.py", "from celery import Celery\n\napp = Celery('other', broker='memory://')\n")
    site.write("tests_settings.py", "from config.settings import *\n")
    site.ini("backchannel_production_settings = config.production", settings="tests_settings")
    site.write("config/__init__.py", "")
    result = site.test(
        """
        import other
        other.app.set_current()
        other.app.set_default()
        from shop.jobs import rebuild

        def test_it(task_queue):
            assert task_queue.app.main == "other"
            rebuild.delay()
            assert task_queue.run() == {"SUCCESS": 1}
        """
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["backchannel: what a worker knows *: its Celery app is 'sample' *'other'*"])
