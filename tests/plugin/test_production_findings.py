"""The settings of production are read at the end of a run, and told where they would hurt."""

from __future__ import annotations

import pytest

PRODUCTION = """
    from .settings import *

    CELERY_BROKER_URL = "redis://redis.example/0"
    CELERY_RESULT_BACKEND = "redis://redis.example/1"
    CELERY_TASK_ALWAYS_EAGER = False
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [{"address": "redis://redis.example/2", "socket_timeout": None}]},
        }
    }
"""
NO_TIMEOUT = '\nEMAIL_HOST = "mail.example"\n'
TITLE = "*= backchannel: the settings of production (config.production) =*"
PLAIN = "def test_it():\n    pass\n"


@pytest.fixture
def site(project):
    project.ini("backchannel_production_settings = config.production")
    project.write("config/production.py", PRODUCTION)
    return project


def add(site, text):
    path = site.path / "config" / "production.py"
    path.write_text(path.read_text() + text)


def test_good_settings_say_nothing(site):
    result = site.test(PLAIN)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*backchannel: *")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_hurts_is_told_and_fails_nothing(site, workers):
    add(site, NO_TIMEOUT)
    result = site.test(PLAIN, "-p", "xdist", "-n", workers)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            TITLE,
            "mail_timeout: mail goes to an SMTP server without a time-out: *",
            "None of it failed the run; 'backchannel_strict = true' makes it.",
        ]
    )


def test_strict_fails_the_run_but_for_what_is_intended(site):
    add(site, NO_TIMEOUT)
    strict = ["backchannel_production_settings = config.production", "backchannel_strict = true"]
    site.ini(*strict)
    result = site.test(PLAIN)
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines([TITLE, "mail_timeout: *", "It fails the run (backchannel_strict). Intended? *"])
    site.ini(*strict, "backchannel_settings_allow =", "    mail_timeout: the server is on this machine")
    result = site.test(PLAIN)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*mail_timeout*")


def test_a_name_that_is_none(site):
    site.ini("backchannel_settings_allow = mail")
    result = site.test(PLAIN)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*backchannel_settings_allow: there is no finding 'mail': choose of asgi_import, *"])


def test_an_application_that_no_server_can_import_is_told_with_its_traceback(site):
    site.write("config/asgi.py", "from shop.models import *\n\napplication = None\n")
    site.write("shop/models.py", "from django.contrib.auth.models import User\n")
    result = site.test(PLAIN)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "asgi_import: a fresh process can't import config.asgi.application, and no server starts: *"
            "AppRegistryNotReady: *[[]*models.py:1[]]. Fix: *",
            "*config/asgi.py*",
            "*from shop.models import *",
            "*AppRegistryNotReady*",
        ]
    )


def test_an_app_that_no_worker_can_load_is_told_with_its_traceback(site):
    site.write("shop/jobs.py", "import shop.no_such_module\n")
    add(site, '\nCELERY_IMPORTS = ["shop.jobs"]\n')
    result = site.test(PLAIN)
    result.stdout.fnmatch_lines(
        ["celery_import: a fresh process can't load the Celery app, *ModuleNotFoundError*", "*jobs.py*"]
    )


def test_what_is_not_known_is_said_once(site):
    add(site, "\nimport os; os.environ['NO_SUCH_VARIABLE']\n")
    result = site.test(PLAIN)
    result.assert_outcomes(passed=1)
    lines = [line for line in result.stdout.lines if "NO_SUCH_VARIABLE" in line]
    assert len(lines) == 1
    assert lines[0].startswith("backchannel: what a worker knows under config.production is not known: KeyError: ")


@pytest.mark.parametrize("arguments", [("--collect-only",), ("-k", "no_such_test")])
def test_a_run_without_a_test_tells_nothing(site, arguments):
    add(site, NO_TIMEOUT)
    site.test(PLAIN, *arguments).stdout.no_fnmatch_line("*mail_timeout*")


def test_without_the_option_nothing_is_read(site):
    site.ini()
    add(site, NO_TIMEOUT)
    site.test(PLAIN).stdout.no_fnmatch_line("*mail_timeout*")


def test_a_project_without_a_celery_app_has_none_to_load(site):
    (site.path / "config" / "celery.py").unlink()
    site.write("config/__init__.py", "")
    result = site.test(PLAIN)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*backchannel: *")
