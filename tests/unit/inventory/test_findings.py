"""Each rule on settings of production: what it tells, and what looks alike and is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_backchannel.inventory.asgi_inventory import AsgiInventory, ImportFailure, SiteSettings
from pytest_backchannel.inventory.celery_inventory import BeatEntry, CeleryInventory, KnownTask
from pytest_backchannel.inventory.findings.finding import FINDINGS, Production, visibility_timeout
from pytest_backchannel.inventory.findings.judge import RULES, findings

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "production-settings.md"
PLAIN = {
    "broker_url": "redis://",
    "result_backend": "redis://",
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "result_expires": 86400.0,
    "task_always_eager": False,
}
CORE = {
    "backend": "channels_redis.core.RedisChannelLayer",
    "memory": False,
    "read_timeout": None,
    "blocks_for": 5,
    "capacity": None,
}
SMTP = {"backend": "django.core.mail.backends.smtp.EmailBackend", "smtp": True, "configured": True, "timeout": 10}


def task(name="shop.tasks.send", queue="celery", **options):
    defaults = {"default_retry_delay": 180, "max_retries": 3, "autoretries": False}
    return KnownTask(name=name, module=name.rpartition(".")[0], queue=queue, options={**defaults, **options})


def entry(task="shop.tasks.send", seconds=86400.0, **values):
    return BeatEntry(name="nightly", task=task, schedule="<a schedule>", seconds=seconds, **values)


def told(*tasks, beat=(), settings=None, worker_queues=(), asgi=None, layers=None, mail=None, caches=None, **values):
    celery = CeleryInventory(
        **{
            "settings_module": "config.production",
            "app": "config.celery:app",
            "main": "site",
            "installed_apps": ["shop"],
            "tasks": {one.name: one for one in tasks or (task(),)},
            "queues": ["celery"],
            "routes": [],
            "beat": {one.name: one for one in beat},
            "settings": {**PLAIN, **(settings or {})},
            "originals": {},
            "modules": {},
            "discovered": [],
            "unknown": [],
            "site": SiteSettings(mail=mail or {}, layers=layers or {}, caches=caches or {}),
            **values,
        }
    )
    found = findings(Production(celery=celery, asgi=asgi, worker_queues=worker_queues))
    assert all("Fix: " in one.text and "\n" not in one.text for one in found)
    return [one.name for one in found]


def web(**values):
    return AsgiInventory(
        **{
            "settings_module": "config.production",
            "application": "config.asgi.application",
            "failure": None,
            "routes": [],
            "without_celery_app": [],
            "celery_app": "",
            "site": SiteSettings(),
            "unknown": [],
            **values,
        }
    )


def failure(**values):
    return ImportFailure(
        **{"text": "KeyError: 'x'", "type": "KeyError", "traceback": ["line"], "environment": False, **values}
    )


BACKOFF = {"autoretries": True, "retry_backoff": 60}

TOLD = {
    "asgi_import": {"asgi": web(failure=failure())},
    "beat_arguments": {"beat": [entry(refused="send() missing 1 required positional argument: 'pk'")]},
    "beat_every_minute": {"beat": [entry(seconds=60.0, every_minute_of=2)]},
    "beat_expires_early": {"beat": [entry(expires=1.0)]},
    "beat_pile_up": {"tasks": [task(time_limit=600)], "beat": [entry(seconds=60.0)]},
    "beat_unknown_task": {"beat": [entry(task="shop.task.send")]},
    "celery_app_not_loaded": {"asgi": web(without_celery_app=["shop.tasks"], celery_app="config.celery:app")},
    "chord_without_results": {"chords": ["shop.tasks"], "settings": {"result_backend": "rpc://"}},
    "eager_tasks": {"settings": {"task_always_eager": True}},
    "http_timeout": {
        "asgi": web(site=SiteSettings(waiting_calls=[{"where": "shop/api.py:7", "what": "requests.get"}]))
    },
    "layer_capacity": {"layers": {"default": {**CORE, "capacity": 1}}},
    "layer_idle_timeout": {"layers": {"default": {**CORE, "read_timeout": 5.0}}},
    "mail_timeout": {"mail": {"default": {**SMTP, "timeout": None}}},
    "memory_broker": {"settings": {"broker_url": "memory://"}},
    "memory_layer": {
        "layers": {"default": {**CORE, "backend": "channels.layers.InMemoryChannelLayer", "memory": True}}
    },
    "memory_results": {
        "settings": {"result_backend": "django-cache"},
        "caches": {"default": {"backend": "django.core.cache.backends.locmem.LocMemCache", "local": True}},
    },
    "results_expire_early": {"tasks": [task(time_limit=600)], "settings": {"result_expires": 60}, "chords": ["shop"]},
    "retry_beyond_visibility": {"tasks": [task(default_retry_delay=7200)]},
    "retry_after_expiry": {"tasks": [task(expires=5, default_retry_delay=10)]},
    "route_misspelt": {"routed": ["shop.task.send"]},
    "serialiser_refused": {"settings": {"accept_content": ["application/json"], "task_serializer": "pickle"}},
    "time_limit_beyond_visibility": {"tasks": [task(acks_late=True)], "settings": {"task_time_limit": 7200}},
    "unserved_route": {"tasks": [task(queue="mails")], "worker_queues": ["celery", "mail"]},
}

SILENT = {
    "all is well": {},
    "what may fail here alone": {"asgi": web(failure=failure(environment=True))},
    "web processes without the app of a project that has none": {"asgi": web(without_celery_app=["shop.tasks"])},
    "a rare entry that expires after an hour": {"beat": [entry(expires=3600.0)]},
    "a frequent entry that expires with the next one": {"beat": [entry(seconds=10.0, expires=9.0)]},
    "a frequent entry whose task has the limit of all": {
        "tasks": [task(time_limit=600)],
        "beat": [entry(seconds=60.0)],
        "settings": {"task_time_limit": 600},
    },
    "a long task whose messages expire": {"tasks": [task(time_limit=600)], "beat": [entry(seconds=60.0, expires=55.0)]},
    "an entry for a task of another project": {"beat": [entry(task="warehouse.tasks.count")]},
    "an entry for a task that may be there": {
        "beat": [entry(task="shop.task.send")],
        "unknown": ["refused: a query of the database"],
    },
    "chords with results": {"chords": ["shop.tasks"]},
    "no results and no chords": {"settings": {"result_backend": None, "result_serializer": "msgpack"}},
    "a layer with some room": {"layers": {"default": {**CORE, "capacity": 10}}},
    "a layer that waits for as long as it takes": {"layers": {"default": CORE}},
    "a read that outlives the wait": {"layers": {"default": {**CORE, "read_timeout": 10.0}}},
    "a layer of another kind": {"layers": {"default": {**CORE, "blocks_for": None, "read_timeout": 1.0}}},
    "mail that nobody has set up": {"mail": {"default": {**SMTP, "configured": False, "timeout": None}}},
    "mail by an API": {"mail": {"default": {**SMTP, "smtp": False, "timeout": None}}},
    "results in a cache of Redis": {
        "settings": {"result_backend": "django-cache"},
        "caches": {"default": {"backend": "django_redis.cache.RedisCache", "local": False}},
    },
    "a local cache for other things": {"caches": {"default": {"backend": "locmem", "local": True}}},
    "results for longer than a task": {"tasks": [task(time_limit=600)], "chords": ["shop"]},
    "results that never expire": {"settings": {"result_expires": 0}, "tasks": [task(time_limit=9)], "chords": ["shop"]},
    "a long retry where nothing is delivered again": {
        "tasks": [task(default_retry_delay=7200)],
        "settings": {"broker_url": "amqp://"},
    },
    "a long retry below a longer timeout": {
        "tasks": [task(default_retry_delay=7200)],
        "settings": {"broker_transport_options": {"visibility_timeout": 43200}},
    },
    "a backoff with a maximum": {"tasks": [task(**BACKOFF, retry_backoff_max=600, max_retries=20)]},
    "an expiry of a task that nobody retries": {"tasks": [task(expires=60)]},
    "an expiry beyond the first retry": {"tasks": [task(expires=60, default_retry_delay=10)]},
    "a route for a task of another project": {"routed": ["warehouse.tasks.send"]},
    "a route for a task that was taken out": {"routed": ["shop.tasks.charge"]},
    "a route for one of two alike": {
        "tasks": [task(), task("shop.tasks.send_all")],
        "routed": ["shop.tasks.send_all"],
    },
    "routes and a registry that may lack something": {"routed": ["shop.task.send"], "unknown": ["refused: …"]},
    "a serialiser by its content type": {"settings": {"accept_content": ["application/json"]}},
    "a task with another serialiser that is accepted": {
        "tasks": [task(serializer="pickle")],
        "settings": {"accept_content": ["json", "pickle"]},
    },
    "a limit below the timeout": {"tasks": [task(acks_late=True)], "settings": {"task_time_limit": 60}},
    "a long limit that is acknowledged early": {"settings": {"task_time_limit": 7200}},
    "a queue that is consumed": {"tasks": [task(queue="mail")], "worker_queues": ["celery", "mail"]},
    "a queue where nothing is said of workers": {"tasks": [task(queue="mail")]},
}


@pytest.mark.parametrize("name", TOLD)
def test_it_is_told(name):
    values = dict(TOLD[name])
    assert set(told(*values.pop("tasks", ()), **values)) == {name}


@pytest.mark.parametrize("case", SILENT)
def test_what_looks_alike_is_not(case):
    values = dict(SILENT[case])
    assert told(*values.pop("tasks", ()), **values) == []


def test_the_last_of_many_retries_may_be_beyond_the_timeout():
    late = task(**BACKOFF, retry_backoff_max=86400, max_retries=8)
    assert told(late) == ["retry_beyond_visibility"]
    assert told(task(**BACKOFF, retry_backoff_max=86400, max_retries=5)) == []


def test_a_task_with_a_serialiser_of_its_own_that_is_refused():
    assert told(task(serializer="pickle")) == ["serialiser_refused"]


def test_declared_queues_say_what_is_consumed():
    values = {"queues": ["celery"], "settings": {"task_queues": ["<Queue celery>"]}}
    assert told(task(queue="mail"), **values) == ["unserved_route"]
    assert told(task(queue="celery"), **values) == []


def test_each_broker_has_its_own_timeout():
    def timeout(**settings):
        celery = CeleryInventory.__new__(CeleryInventory)
        object.__setattr__(celery, "settings", settings)
        return visibility_timeout(celery)

    assert timeout(broker_url="sqs://") == 1800
    assert timeout(broker_url=["sentinel://", "sentinel://"]) == 3600
    assert timeout(broker_url="rediss://", broker_transport_options={"visibility_timeout": 60}) == 60
    assert timeout(broker_url="amqp://") is None
    assert timeout(broker_url=None) is None


def test_what_is_intended_is_left_out():
    production = Production(asgi=web(site=SiteSettings(mail={"default": {**SMTP, "timeout": None}})))
    assert [one.name for one in findings(production)] == ["mail_timeout"]
    assert findings(production, ["mail_timeout"]) == []
    with pytest.raises(ValueError, match="there is no 'mail'; there are asgi_import, "):
        findings(production, ["mail"])


def test_nothing_known_is_nothing_told():
    assert findings(Production()) == []


def test_each_name_has_a_rule_and_both_tests_and_a_line_in_the_reference():
    by_harness = {"celery_import"}
    assert {rule.__name__ for rule in RULES} | by_harness == set(FINDINGS)
    assert set(TOLD) | by_harness == set(FINDINGS)
    lines = (line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `")
    assert {cells[1].strip().strip("`"): cells[2].strip() for cells in lines} == FINDINGS
