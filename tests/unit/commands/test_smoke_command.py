"""What ``backchannel smoke`` says where nothing is deployed: to wrong usage, and to settings that can't be right."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
from celery import Celery

from pytest_backchannel.commands.smoke.expected import StoredEntry, expected_tasks
from pytest_backchannel.masking import without_logins

SAMPLE = Path(__file__).parents[2] / "sample"


class Deployment:
    """The sample project in a folder of its own, whose broker is on a port where nothing listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(SAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))

    def settings(self, text: str) -> None:
        path = self.folder / "config" / "settings.py"
        path.write_text(path.read_text() + dedent(text))

    def smoke(self, *arguments: str, folder: Path | None = None, **environment: str):
        unset = ("DJANGO_SETTINGS_MODULE", "CELERY_BROKER_URL")
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        settings = () if "--settings" in arguments else ("--settings", "config.settings")
        return subprocess.run(
            [sys.executable, "-m", "pytest_backchannel.cli", "smoke", "--timeout", "2", *settings, *arguments],
            cwd=folder or self.folder,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def deployment(tmp_path):
    return Deployment(tmp_path)


# ------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("can't reach amqp://app:s3cret@broker//", "can't reach amqp://app:***@broker//"),
        ("redis://:pw@a/0;redis://:xyz@b/1", "redis://:***@a/0;redis://:***@b/1"),
        ("['redis://:p@w@a:1/0', 'redis://:x@b']", "['redis://:***@a:1/0', 'redis://:***@b']"),
        ("amqp://token@broker", "amqp://***@broker"),
        ("https://shop.example/@ada, or mail ada@shop.example", "https://shop.example/@ada, or mail ada@shop.example"),
        ("http://127.0.0.1:80/a@b", "http://127.0.0.1:80/a@b"),
    ],
)
def test_the_login_of_any_url_is_hidden(text, shown):
    assert without_logins(text) == shown


@pytest.mark.parametrize("by", ["environment", "text", "list"])
def test_several_brokers_show_no_password(deployment, by):
    urls = ["redis://:first-one@127.0.0.1:1/0", "redis://:pw2@127.0.0.1:2/0"]
    environment = {}
    if by == "environment":
        environment["CELERY_BROKER_URL"] = ";".join(urls)
        deployment.settings("del CELERY_BROKER_URL\n")
    else:
        deployment.settings(f"CELERY_BROKER_URL = {urls if by == 'list' else ';'.join(urls)!r}\n")
    done = deployment.smoke("--no-layer", **environment)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(
        "FAIL  broker redis://:***@127.0.0.1:1/0; redis://:***@127.0.0.1:2/0: no connection: "
    )
    assert not any(secret in done.stdout + done.stderr for secret in ("first-one", "pw2"))


def test_settings_that_can_not_be_loaded_show_no_password(deployment):
    deployment.settings('raise ValueError("no answer from postgres://app:t0p-secret@db/shop")\n')
    done = deployment.smoke()
    assert done.returncode == 2
    assert "ValueError: no answer from postgres://app:***@db/shop [config/settings.py:" in done.stderr
    assert "t0p-secret" not in done.stderr


# -------------------------------------------------- settings that can't be right


def test_without_a_broker_url_it_says_what_celery_takes(deployment):
    deployment.settings("del CELERY_BROKER_URL\n")
    done = deployment.smoke("--no-layer")
    assert "broker amqp://guest:**" in done.stdout
    assert "None" not in done.stdout


def test_a_broker_in_memory_and_eager_mode_are_no_deployment(deployment):
    deployment.settings('CELERY_BROKER_URL = "memory://"\nCELERY_TASK_ALWAYS_EAGER = True\n')
    done = deployment.smoke("--no-layer", "--format", "json")
    assert done.returncode == 1
    failed = {c["check"]: c["text"] for c in json.loads(done.stdout)["checks"] if c["status"] == "failed"}
    assert set(failed) == {"broker", "eager"}
    assert "memory of one process" in failed["broker"]
    assert "the site runs tasks itself" in failed["eager"]


def test_nothing_to_check_is_not_a_success(deployment):
    done = deployment.smoke("--no-celery", "--no-layer")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "there is nothing to check" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--app", "config.nowhere:app"], "--app 'config.nowhere:app' can't be imported: No module named"),
        (["--header", "Cookie: a=b"], "--header need --url"),
        (["--settings", "config.gone"], "(looked for from "),
    ],
)
def test_the_remedy_is_one_of_this_command(deployment, arguments, expected):
    done = deployment.smoke(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "ini option" not in done.stderr


def test_no_app_is_found(deployment):
    deployment.folder.joinpath("flat.py").write_text((deployment.folder / "config" / "settings.py").read_text())
    done = deployment.smoke("--settings", "flat")
    assert done.returncode == 2
    assert "say where it is with --app config.celery:app" in done.stderr


def test_a_module_of_tasks_that_breaks(deployment):
    deployment.folder.joinpath("shop", "tasks.py").write_text("import math\n\nmath.nothing\n")
    done = deployment.smoke()
    assert done.returncode == 2
    assert "the tasks can't be loaded: AttributeError" in done.stderr
    assert "[shop/tasks.py:3]" in done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- what is expected


def test_a_route_that_celery_refuses_is_told():
    app = Celery("routes", broker="memory://", set_as_current=False)
    app.conf.task_create_missing_queues = False
    app.conf.task_queues = {"celery": {"exchange": "celery", "routing_key": "celery"}}
    app.conf.task_routes = {"a.lost": {"queue": "nowhere"}}
    app.finalize()

    @app.task(name="a.lost", shared=False)
    def lost():
        pass

    (found,) = [expected for expected in expected_tasks(app) if expected.task == "a.lost"]
    assert found.queue == ""
    assert found.problem.startswith("QueueNotFound: ")


def test_stored_entries_are_expected_and_come_before_those_of_the_settings():
    app = Celery("beat", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        "both": {"task": "a.of_the_settings", "schedule": 60.0},
        "mine": {"task": "a.mine", "schedule": 60.0},
    }
    app.finalize()
    stored = [StoredEntry("both", "a.of_the_database", {"queue": "night"}), StoredEntry("theirs", "a.theirs", {})]
    found = {e.beat: (e.task, e.queue) for e in expected_tasks(app, stored) if e.beat}
    assert found == {
        "both": ("a.of_the_database", "night"),
        "mine": ("a.mine", "celery"),
        "theirs": ("a.theirs", "celery"),
    }


@pytest.fixture
def silent_site():
    """A port that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize("form", ["text", "json"])
def test_it_waits_as_long_as_it_says_and_shows_no_token(deployment, silent_site, form):
    began = time.monotonic()
    done = deployment.smoke(
        *(
            "--url",
            silent_site,
            "--websocket",
            "/ws/?token=s3cret-one&page=2",
            "--header",
            "Cookie: sessionid=s3cret-two",
        ),
        *("--no-celery", "--no-layer", "--timeout", "1", "--format", form),
    )
    assert done.returncode == 1
    assert time.monotonic() - began < 20  # two checks, and the start of two processes on a busy machine
    said = done.stdout + done.stderr
    assert "within 1 s" in said
    assert "s3cret" not in said
    assert "/ws/?token=***&page=2" in said
