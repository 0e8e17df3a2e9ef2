"""BC204, BC310 to BC314, BC607: delays, acknowledgements, time limits, queues; what is found and what is let be."""

from __future__ import annotations

import pytest

TASKS = "from celery import shared_task\n\n@shared_task\ndef send(pk): ...\n\n"
REDIS = 'CELERY_BROKER_URL = "redis://cache/0"\n'


def sends(options, settings=REDIS):
    imports = "from datetime import timedelta\nfrom django.utils import timezone\nfrom shop.tasks import send\n"
    views = f"{imports}\ndef view(request, delay):\n    send.apply_async((7,), {options})\n"
    return {"shop/tasks.py": TASKS, "shop/views.py": views, "config/settings.py": settings}


LONGER = REDIS + 'CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": %s}\n'


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (["BC204"], sends("countdown=3601")),
        (["BC204"], sends("eta=timezone.now() + timedelta(hours=2)")),
        (["BC204"], sends("eta=timedelta(days=1) + timezone.now()")),
        (["BC204"], sends("countdown=timedelta(days=1).total_seconds()")),
        (["BC204"], sends("countdown=2 * 3600", 'BROKER_URL = env("BROKER", default="redis://x")\n')),
        (["BC204"], sends("countdown=61", LONGER % "60")),
        ([], sends("countdown=3600")),
        ([], sends("countdown=delay")),
        ([], sends("eta=timezone.now() + timedelta(hours=delay)")),
        ([], sends("eta=delay + timedelta(days=2)")),
        ([], sends("countdown=7200", 'CELERY_BROKER_URL = "amqp://rabbit"\n')),
        ([], sends("countdown=7200", 'CELERY_BROKER_URL = env("BROKER")\n')),
        ([], sends("countdown=7200", REDIS + 'BROKER_URL = "amqp://x"\n')),
        ([], sends("countdown=7200", LONGER % "60 * 60 * 12")),
        ([], sends("countdown=7200", LONGER % 'env("LONG")')),
        ([], sends("countdown=7200", REDIS + 'OPTIONS["visibility_timeout"] = 9\n')),
        ([], sends("countdown=7200", "")),
    ],
)
def test_a_delay(codes, expected, files):
    assert codes(files) == expected


RETRIES = "from celery import shared_task\n@shared_task(bind=True, %s)\ndef send(self):\n    raise self.retry(%s)\n"


@pytest.mark.parametrize(
    ("expected", "options", "given"),
    [
        (["BC204"], "default_retry_delay=24 * 3600", ""),
        (["BC204"], "max_retries=3", "countdown=7200"),
        ([], "default_retry_delay=24 * 3600", "countdown=60"),
        ([], "default_retry_delay=1800", ""),
    ],
)
def test_the_delay_of_a_retry(codes, expected, options, given):
    assert codes({"shop/tasks.py": RETRIES % (options, given), "config/settings.py": REDIS}) == expected


LATE, REJECT = "CELERY_TASK_ACKS_LATE = True\n", "CELERY_TASK_REJECT_ON_WORKER_LOST = %s\n"


@pytest.mark.parametrize(
    ("expected", "options", "settings"),
    [
        (["BC311"], "acks_late=True", ""),
        (["BC311"], "", LATE),
        (["BC312"], "reject_on_worker_lost=True", ""),
        (["BC312"], "", REJECT % "True"),
        ([], "acks_late=True, reject_on_worker_lost=False", ""),
        ([], "acks_late=True", REJECT % "True"),
        ([], "acks_late=False", ""),
        ([], "acks_late=late()", ""),
        ([], "acks_late=True, base=Reliable", ""),
        ([], "reject_on_worker_lost=True", LATE + REJECT % "False"),
        ([], "", LATE + REJECT % "True"),
        ([], "", REJECT % "False"),
    ],
)
def test_acknowledgements(codes, expected, options, settings):
    tasks = f"from celery import shared_task\n\n@shared_task({options})\ndef send(pk): ...\n"
    assert codes({"shop/tasks.py": tasks, "config/settings.py": settings}) == expected


LOOP = "import time, asyncio\nfrom celery import shared_task\n@shared_task\ndef send(pk):\n"


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (["BC310"], "while True:\n try:\n  return post()\n except OSError:\n  log()\n  time.sleep(5)\n"),
        ([], "for x in pk:\n time.sleep(1)\n"),
        ([], "try:\n post()\nexcept OSError:\n time.sleep(1)\n"),
        ([], "try:\n post()\nexcept OSError:\n for x in pk:\n  time.sleep(1)\n"),
        ([], "def wait():\n while True:\n  try:\n   post()\n  except OSError:\n   time.sleep(5)\n"),
    ],
)
def test_a_task_that_sleeps(codes, expected, body):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    assert codes({"shop/tasks.py": LOOP + lines}) == expected


def test_only_a_task_that_sleeps_is_told(codes):
    body = (
        "    while True:\n        try:\n            return post()\n        except OSError:\n            time.sleep(5)\n"
    )
    assert codes({"shop/tasks.py": LOOP.replace("@shared_task\n", "") + body}) == []


APP = 'from celery import Celery\napp = Celery("shop")\n@app.task%s\ndef send(pk): ...\n'


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (["BC314"], {"shop/celery.py": APP % ""}),
        ([], {"shop/celery.py": APP % "(time_limit=9)"}),
        ([], {"shop/celery.py": APP % "", "config/settings.py": "CELERYD_TASK_SOFT_TIME_LIMIT = 60\n"}),
        ([], {"shop/celery.py": APP % "", "Procfile": "worker: celery -A shop worker --time-limit=300\n"}),
        ([], {"shop/celery.py": 'from celery import Celery\napp = Celery("shop")\n'}),
        ([], {"shop/celery.py": APP.replace("from celery", "from elsewhere") % ""}),
    ],
)
def test_time_limits(codes, expected, files):
    assert codes(files) == expected


QUEUES = 'from kombu import Queue\nCELERY_TASK_QUEUES = (Queue("celery"), Queue("mail", routing_key="m"))\n'


@pytest.mark.parametrize(
    ("expected", "options", "settings", "others"),
    [
        (["BC607"], "queue='mails'", QUEUES, {}),
        (["BC607"], "queue='mails'", 'CELERY_TASK_QUEUES = {"celery": {}, "mail": {}}\n', {}),
        ([], "queue='mail'", QUEUES, {}),
        ([], "queue=which()", QUEUES, {}),
        ([], "queue='mails'", "", {}),
        ([], "queue='mails'", QUEUES.replace('Queue("celery")', "*MORE"), {}),
        ([], "queue='mails'", QUEUES.replace('Queue("celery")', "Queue(NAME)"), {}),
        ([], "queue='mails'", QUEUES, {"docker-compose.yml": "command: celery -A shop worker -Q mails,mail\n"}),
        ([], "queue='main'", QUEUES + 'CELERY_TASK_DEFAULT_QUEUE = "main"\n', {}),
    ],
)
def test_queues(codes, expected, options, settings, others):
    tasks = f"from celery import shared_task\n\n@shared_task({options})\ndef send(pk): ...\n"
    assert codes({"shop/tasks.py": tasks, "config/settings.py": settings, **others}) == expected


def test_the_queues_that_the_project_says_count(codes):
    files = {"shop/tasks.py": TASKS.replace("@shared_task\n", "@shared_task(queue='mail')\n")}
    assert codes(files, configuration={"backchannel_worker_queues": "celery"}) == ["BC607"]
    assert codes(files, configuration={"backchannel_worker_queues": "celery, mail"}) == []


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        (["BC608"], 'EMAIL_HOST = env("HOST")\n'),
        ([], 'EMAIL_HOST = "mail"\nEMAIL_TIMEOUT = None\n'),
        ([], 'EMAIL_HOST = "mail"\nEMAIL_BACKEND = "anymail.backends.mailgun.EmailBackend"\n'),
        ([], 'EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"\n'),
    ],
)
def test_mail(codes, expected, settings):
    assert codes({"config/settings.py": settings}) == expected
