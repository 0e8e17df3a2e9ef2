"""`backchannel smoke` against a site that runs for real: healthy, and broken in many ways."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_backchannel.servers.brokers.redis import start_redis
from pytest_backchannel.servers.process import Process, free_port, listens

pytestmark = pytest.mark.celery_integration

SAMPLE = Path(__file__).parents[1] / "sample"
PASSWORD = "s3cret-p4ss"

CONSUMERS = """

class Refusing(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.close()


class Crashing(AsyncJsonWebsocketConsumer):
    async def connect(self):
        raise ValueError("broken consumer")


class Closing(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.close(4401)
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("ok"))]
"""
ROUTES = """path("ws/refusing/", Refusing.as_asgi()), path("ws/crashing/", Crashing.as_asgi()),
            path("ws/closing/", Closing.as_asgi()), """


class Site:
    """The sample project, deployed: Redis with a password, a worker, uvicorn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(SAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        self._append("shop/consumers.py", CONSUMERS)
        self._replace("config/asgi.py", "import EchoConsumer", "import Closing, Crashing, Refusing, EchoConsumer")
        self._replace("config/asgi.py", 'path("ws/echo/"', ROUTES + 'path("ws/echo/"')
        (folder / "config" / "urls.py").write_text(URLS)
        self.redis = start_redis()
        self.command("CONFIG", "SET", "requirepass", PASSWORD)
        self.redis_url = f"redis://:{PASSWORD}@127.0.0.1:{self.redis.port}"
        self._append(
            "config/settings.py",
            dedent(f"""
            URL = "{self.redis_url}"
            CELERY_BROKER_URL = f"{{URL}}/0"
            CELERY_RESULT_BACKEND = f"{{URL}}/1"
            CELERY_TASK_ROUTES = {{"shop.tasks.fail": {{"queue": "mail"}}}}
            CELERY_BEAT_SCHEDULE = {{"add up": {{"task": "shop.tasks.add", "schedule": 3600.0}}}}
            CHANNEL_LAYERS = {{"default": {{"BACKEND": "channels_redis.core.RedisChannelLayer",
                "CONFIG": {{"hosts": [{{"address": f"{{URL}}/2", "socket_timeout": None}}]}}}}}}
            """),
        )
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: list[Process] = []
        self.worker = self._run(
            "worker",
            lambda process: "ready." in process.log,
            *("celery", "-A", "config", "worker", "-c", "2", "-Q", "celery,mail", "--without-mingle"),
            *("--loglevel", "INFO", "-n", "deployed@host"),
        )
        self.web = self._run(
            "web",
            lambda process: listens(self.port, timeout=0.1),
            *("uvicorn", "config.asgi:application", "--port", str(self.port), "--lifespan", "off"),
            *("--ws", "websockets-sansio"),
        )

    def _append(self, name: str, text: str) -> None:
        (self.folder / name).write_text((self.folder / name).read_text() + text)

    def _replace(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new))

    def _run(self, name, ready, *command: str) -> Process:
        process = Process(name)
        self.processes.append(process)
        process.launch(
            [sys.executable, "-m", *command],
            ready=lambda: ready(process),
            environment={"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(self.folder)},
            timeout=30,
            cwd=self.folder,
        )
        return process

    def command(self, *words: str) -> None:
        from pytest_backchannel.servers.brokers.redis import command

        assert command("127.0.0.1", self.redis.port, *words) == b"+OK"

    def settings(self, name: str, text: str) -> str:
        """Another settings module: what the smoke check believes."""
        (self.folder / "config" / f"{name}.py").write_text("from .settings import *\n" + dedent(text))
        return f"config.{name}"

    def keys(self) -> dict[str, set[bytes]]:
        import redis

        found = {}
        for number in range(3):
            with redis.Redis.from_url(f"{self.redis_url}/{number}") as client:
                found[str(number)] = set(client.keys("*"))
        return found

    def smoke(self, *arguments: str, settings: str = "config.settings", timeout: str = "5", folder: Path | None = None):
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return subprocess.run(
            [sys.executable, "-m", "pytest_backchannel.cli", "smoke", "--settings", settings, "--timeout", timeout]
            + list(arguments),
            cwd=folder or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def broken(self, *arguments: str, **options) -> list[tuple[str, str, str]]:
        """What the smoke check says is broken."""
        done = self.smoke("--format", "json", *arguments, **options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        document = json.loads(done.stdout)
        failed = [(c["check"], c["target"], c["text"]) for c in document["checks"] if c["status"] == "failed"]
        assert len(failed) == document["failed"]
        return failed

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()  # Redis may be gone: a worker would look for it for a while
            process.close()
        self.redis.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


ROOM = ("--message", "/ws/rooms/smoke/", "smoke", '{"type": "room.message", "text": "hello"}')


def test_a_healthy_site(site):
    before = site.keys()
    arguments = ("--url", site.url + "/", "--websocket", "/ws/echo/", *ROOM)
    done = site.smoke(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for expected in (
        f"ok    broker redis://:***@127.0.0.1:{site.redis.port}/0: answers",
        "ok    worker deployed@host: consumes celery, mail",
        "ok    queue mail: consumed by deployed@host",
        "ok    task shop.tasks.fail: known to deployed@host",
        "ok    beat add up: known to deployed@host",
        "ok    canary celery: came back in",
        "ok    canary mail: came back in",
        "ok    layer: carries a message in",
        "ok    websocket /ws/echo/: handshake completed",
        "ok    message smoke → /ws/rooms/smoke/: reached a live socket",
    ):
        assert any(line.startswith(expected) for line in lines), (expected, done.stdout)
    # It does not claim what can't be seen.
    assert [line for line in lines if line.startswith("skip")] == [
        "skip  beat: whether beat itself runs is not checked: it answers no question"
    ]
    assert lines[-1].endswith("0 failed, 1 skipped")
    assert PASSWORD not in done.stdout + done.stderr
    time.sleep(0.3)
    assert site.keys() == before  # nothing is left behind


def test_progress_goes_to_standard_error_beside_json(site):
    done = site.smoke("--format", "json")
    document = json.loads(done.stdout)
    assert document["format"] == 1
    assert document["failed"] == 0
    assert document["passed"] + document["skipped"] == len(document["checks"]) == len(done.stderr.splitlines()) - 1


# --------------------------------------------------- what the code believes


def test_wrong_queue(site):
    settings = site.settings("wrong_queue", 'CELERY_TASK_ROUTES = {"shop.tasks.fail": {"queue": "emails"}}')
    failed = site.broken(settings=settings)
    assert [(check, target) for check, target, _ in failed] == [("queue", "emails"), ("task", "shop.tasks.fail")]
    assert "no live worker consumes it, and these tasks go there: shop.tasks.fail" in failed[0][2]


def test_old_code_without_a_task(site, tmp_path):
    newer = tmp_path / "newer"
    shutil.copytree(site.folder, newer)
    tasks = newer / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + "\n\n@shared_task\ndef refund():\n    pass\n")
    failed = site.broken(folder=newer)
    assert failed == [
        (
            "task",
            "shop.tasks.refund",
            "deployed@host consumes 'celery' and does not know it: the message is thrown away",
        )
    ]


def test_beat_names_a_task_that_nobody_knows(site):
    settings = site.settings(
        "bad_beat", 'CELERY_BEAT_SCHEDULE = {"nightly": {"task": "shop.tasks.gone", "schedule": 60.0}}'
    )
    failed = site.broken(settings=settings)
    assert [(check, target) for check, target, _ in failed] == [("beat", "nightly")]
    assert "does not know its task shop.tasks.gone" in failed[0][2]


# Of django-celery-beat what is read of it: it is no dependency of this suite.
PERIODIC_TASK = """
from django.db import models


class PeriodicTask(models.Model):
    name = models.CharField(max_length=200, unique=True)
    task = models.CharField(max_length=200)
    queue = models.CharField(max_length=200, blank=True, null=True)
    exchange = models.CharField(max_length=200, blank=True, null=True)
    routing_key = models.CharField(max_length=200, blank=True, null=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        app_label = "django_celery_beat"
"""


@pytest.fixture
def with_stored_entries(site):
    package = site.folder / "django_celery_beat"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text(PERIODIC_TASK)
    settings = site.settings(
        "stored_beat",
        f"""
        INSTALLED_APPS = [*INSTALLED_APPS, "django_celery_beat"]
        CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
        DATABASES["default"]["NAME"] = {str(site.folder / "beat.sqlite3")!r}
        """,
    )

    def fill(*rows):
        code = (
            "import django; django.setup(); from django.core.management import call_command; "
            "call_command('migrate', run_syncdb=True, verbosity=0); "
            "from django_celery_beat.models import PeriodicTask; "
            f"[PeriodicTask.objects.create(**row) for row in {list(rows)!r}]"
        )
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings}
        subprocess.run([sys.executable, "-c", code], cwd=site.folder, env=environment, check=True)

    yield settings, fill
    (site.folder / "beat.sqlite3").unlink(missing_ok=True)


def test_entries_of_django_celery_beat_are_read(site, with_stored_entries):
    settings, fill = with_stored_entries
    fill(
        {"name": "daily", "task": "shop.tasks.fail"},
        {"name": "tidy", "task": "celery.backend_cleanup"},
        {"name": "of old code", "task": "shop.tasks.gone"},
        {"name": "misrouted", "task": "shop.tasks.add", "queue": "night"},
        {"name": "switched off", "task": "shop.tasks.gone too", "enabled": False},
    )
    done = site.smoke(settings=settings)
    assert done.returncode == 1
    lines = [line.removesuffix(" ") for line in done.stdout.splitlines() if " beat " in line or " queue " in line]
    assert "ok    beat django-celery-beat: 4 enabled entries in the database" in lines
    assert "ok    beat daily: known to deployed@host" in lines
    assert "ok    beat tidy: known to deployed@host" in lines  # a task that every worker has
    assert "ok    beat add up: known to deployed@host" in lines  # of the settings
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("FAIL")] == [
        "FAIL  queue night",
        "FAIL  beat misrouted",
        "FAIL  beat of old code",
    ]


def test_a_database_without_the_tables_of_django_celery_beat(site, with_stored_entries):
    settings, _ = with_stored_entries
    ((check, target, text),) = site.broken(settings=settings)
    assert (check, target) == ("beat", "django-celery-beat")
    assert text.startswith("its entries can't be read: OperationalError: no such table")


def test_another_scheduler_is_not_passed_over_in_silence(site):
    settings = site.settings("redbeat", 'CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"')
    done = site.smoke(settings=settings)
    assert done.returncode == 0
    assert "skip  beat redbeat.RedBeatScheduler: it keeps entries of its own, which are not read" in done.stdout


def test_no_result_backend(site):
    settings = site.settings("no_results", "CELERY_RESULT_BACKEND = None")
    failed = site.broken(settings=settings)
    assert [(check, target) for check, target, _ in failed] == [("results", "")]
    done = site.smoke("--no-results", settings=settings)
    assert done.returncode == 0, done.stdout
    assert "canary mail: was counted by a worker" in done.stdout


def test_another_result_backend_than_the_worker_writes_to(site):
    settings = site.settings("other_results", 'CELERY_RESULT_BACKEND = f"{URL}/7"')
    failed = site.broken(settings=settings, timeout="3")
    assert [(check, target) for check, target, _ in failed] == [("canary", "celery"), ("canary", "mail")], failed
    assert failed[0][2] == "has not come back within 3 s"


def test_a_layer_in_memory(site):
    settings = site.settings(
        "memory_layer", 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}'
    )
    ((check, _, text),) = site.broken("--no-celery", settings=settings)
    assert check == "layer"
    assert "memory of one process" in text


def test_another_layer_than_the_web_server_uses(site):
    settings = site.settings(
        "other_layer", 'CHANNEL_LAYERS["default"]["CONFIG"] = {**CHANNEL_LAYERS["default"]["CONFIG"], "prefix": "x"}'
    )
    ((check, target, text),) = site.broken(
        "--no-celery", "--url", site.url + "/", *ROOM, settings=settings, timeout="3"
    )
    assert (check, target) == ("message", "smoke → /ws/rooms/smoke/")
    assert text == "no frame has reached the socket within 3 s"


# ---------------------------------------------------------- the web server


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("/ws/nowhere/",), "refused with HTTP 500: there is no such route"),
        (("/ws/crashing/",), "refused with HTTP 500: there is no such route, or its consumer broke"),
        (("/ws/refusing/",), "refused with HTTP 403: by the consumer, its authentication or an origin check"),
        (("/ws/closing/",), "accepted, and closed at once with code 4401"),
        (("/ws/echo/", "--origin", "https://elsewhere.example"), "refused with HTTP 403: the origin https://elsewhere"),
    ],
    ids=["missing", "crashing", "refusing", "closing", "origin"],
)
def test_websocket(site, arguments, expected):
    path = arguments[0]
    failed = site.broken("--no-celery", "--url", site.url + "/", "--websocket", *arguments)
    assert [(check, target) for check, target, _ in failed] == [("websocket", path)]
    assert failed[0][2].startswith(expected)


def test_a_wsgi_server_answers_in_its_place(site):
    port = free_port()
    code = (
        "import django; django.setup(); from django.core.handlers.wsgi import WSGIHandler; "
        "from wsgiref.simple_server import make_server; "
        f"make_server('127.0.0.1', {port}, WSGIHandler()).serve_forever()"
    )
    process = Process("wsgi")
    try:
        process.launch(
            [sys.executable, "-c", code],
            ready=lambda: listens(port, timeout=0.1),
            environment={"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(site.folder)},
            timeout=20,
        )
        url = f"http://127.0.0.1:{port}/"
        ((check, target, text),) = site.broken("--no-celery", "--url", url, "--websocket", "/ws/echo/")
    finally:
        process.close()
    assert (check, target) == ("websocket", "/ws/echo/")
    assert text == "the answer to the handshake is not HTTP"


def test_the_web_server_is_down(site):
    ((check, _, text),) = site.broken(
        "--no-celery", "--url", f"http://127.0.0.1:{free_port()}", "--websocket", "/ws/a/"
    )
    assert check == "site"
    assert text.startswith("no answer: [Errno 111]")


# ----------------------------------------------------------- worker and Redis


def test_every_process_of_the_worker_is_busy(site):
    # Not frozen: its main process answers, and its two children stand.
    import psutil

    children = psutil.Process(site.worker.pid).children()
    for child in children:
        child.suspend()
    try:
        failed = site.broken(timeout="3")
    finally:
        for child in children:
            child.resume()
    assert [(check, target) for check, target, _ in failed] == [("canary", "celery"), ("canary", "mail")]


def test_the_worker_is_down(site):
    site.worker.pause()
    try:
        ((check, _, text),) = site.broken(timeout="3")
    finally:
        site.worker.resume()
    assert (check, text) == ("worker", "none answers")


def test_redis_answers_nothing(site):
    site.redis.pause()
    start = time.monotonic()
    try:
        failed = site.broken(timeout="1")
    finally:
        site.redis.resume()
    assert [check for check, *_ in failed] == ["broker", "layer"]
    assert time.monotonic() - start < 60


def test_redis_is_down(tmp_path):
    # A site of its own: its worker and its web server would look for Redis for a while.
    site = Site(tmp_path)
    try:
        site.redis.stop()
        failed = site.broken("--url", site.url + "/", *ROOM, timeout="3")
    finally:
        site.close()
    assert [check for check, *_ in failed] == ["broker", "layer", "message"]
    assert failed[0][2].startswith("no connection: ")
    assert "refused" in failed[0][2]


# ------------------------------------------------------------------ the usage


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--websocket", "/ws/a/"], "--websocket, --message, --origin and --header need --url"),
        (["--url", "shop.example"], "--url must begin with http:// or https://"),
        (["--url", "http://a", "--message", "/ws/", "g", "{}"], "give a JSON object with the name of its handler"),
        (["--url", "http://a", "--header", "Cookie"], "--header needs a name and a value"),
        (["--timeout", "0"], "give a number of seconds above 0"),
        (["--settings", "no.such.settings"], "the settings 'no.such.settings' can't be loaded: ModuleNotFoundError"),
        (["--app", "config.celery:nothing"], "can't be imported"),
    ],
)
def test_bad_usage(tmp_path, arguments, expected):
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    settings = [] if "--settings" in arguments else ["--settings", "config.settings"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest_backchannel.cli", "smoke", *settings, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert expected in done.stderr
