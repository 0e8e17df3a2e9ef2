"""Defects to put into a copy of the example: for each rule at least one, as edits of its files."""

from __future__ import annotations

TASKS, VIEWS, CHAT = "billing/tasks.py", "billing/views.py", "chat/consumers.py"
BASE, PRODUCTION, TEST = (f"config/settings/{name}.py" for name in ("base", "production", "test"))
ASGI, ROUTING, PYPROJECT = "config/asgi.py", "config/routing.py", "pyproject.toml"
TO_THE_END = None
EVERY_FILE = "*"

ORIGIN = "SiteOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))"
NO_ORIGIN = [
    (ASGI, ORIGIN, "AuthMiddlewareStack(URLRouter(websocket_urlpatterns))"),
    (ASGI, "from .origin import SiteOriginValidator  # noqa: E402\n", ""),
    (EVERY_FILE, "OriginValidator(", "Origins("),
    (EVERY_FILE, "allowed_origins", "allowed"),
    (EVERY_FILE, '"origin"', '"from"'),
]
LATER = "transaction.on_commit(partial(send_invoice_email.delay, invoice.id))"
LAYER = '"BACKEND": "channels.layers.InMemoryChannelLayer"'
REDIS = '"BACKEND": "channels_redis.core.RedisChannelLayer"'
EAGER = "CELERY_TASK_EAGER_PROPAGATES = CELERY_TASK_ALWAYS_EAGER = True\n"
REAL = "\n\n@pytest.mark.celery_integration\ndef test_seeded(celery_session_worker):\n    %s\n"


def task(text, options="", parameters="pk"):
    decorator = f"@shared_task({options})" if options else "@shared_task"
    return [(TASKS, TO_THE_END, f"\n\n{decorator}\ndef seeded({parameters}):\n    {text}\n")]


def consumer(text):
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return [
        (
            CHAT,
            TO_THE_END,
            "\nfrom channels.generic.websocket import AsyncWebsocketConsumer\n"
            f"\n\nclass Seeded(AsyncWebsocketConsumer):\n{lines}",
        )
    ]


LEAVES = "\nasync def disconnect(self, code):\n    await self.channel_layer.group_discard('a', self.channel_name)"
JOIN = "await self.channel_layer.group_add('a', self.channel_name)"
SPACED = JOIN.replace("'a'", "'a b'")
PATCHED = (
    "from unittest.mock import patch\n\n\ndef test_seeded(client):\n"
    "    with patch('billing.tasks.store_month_total.delay'):\n        client.post('/')\n"
)

CONNECTED = (
    "async def test_seeded(websocket, db):\n    async with websocket('/ws/chat/1/'), websocket('/ws/invoices/1/'):\n"
    "        pass\n"
)

SEEDS = {
    "BC001": [(TASKS, TO_THE_END, "def broken(:\n")],
    "BC101": [(TEST, EAGER, "CELERY_TASK_ALWAYS_EAGER = True\n")],
    "BC102": [(EVERY_FILE, "memory://", "other://"), (TEST, "CELERY_BROKER_URL, CELERY_RESULT_BACKEND =", "OTHER =")],
    "BC103": [("tests/test_worker.py", TO_THE_END, REAL % "total_invoice.delay(1).get()")],
    "BC104": [(TEST, LAYER, REDIS)],
    "BC105": [
        ("tests/test_new.py", TO_THE_END, "import time\nimport celery\n\n\ndef test_seeded():\n    time.sleep(1)\n")
    ],
    "BC106": [(PYPROJECT, 'asyncio_mode = "auto"', 'asyncio_mode = "strict"')],
    "BC107": [("tests/test_new.py", TO_THE_END, "def test_seeded(celery_session_worker): ...\n")],
    "BC108": [("tests/test_routing.py", TO_THE_END, "\n\nasync def a(s):\n    await s.receive_from(timeout=None)\n")],
    "BC109": [
        (PYPROJECT, "backchannel_on_commit = true", 'backchannel_on_commit = true\nbackchannel_async_db = "off"'),
        (
            "tests/test_new.py",
            TO_THE_END,
            "from billing.models import Invoice\n\n\nasync def test_seeded(db):\n    await Invoice.objects.acount()\n",
        ),
    ],
    "BC110": [
        (PYPROJECT, "--strict-config", "--strict-config -n 4"),
        (EVERY_FILE, "channels.layers.InMemoryChannelLayer", "elsewhere.Layer"),
        ("tests/test_new.py", TO_THE_END, "# WebsocketCommunicator\n"),
    ],
    "BC111": [
        (
            "tests/test_new.py",
            TO_THE_END,
            "import pytest\nfrom billing.tasks import send_invoice_email\n\n\ndef test_seeded(db):\n"
            "    with pytest.raises(Exception):\n        send_invoice_email.delay(1)\n",
        )
    ],
    "BC112": [
        ("tests/*", TO_THE_END, ""),
        ("tests/test_new.py", TO_THE_END, CONNECTED),
        (ROUTING, "websocket_urlpatterns = [", 'websocket_urlpatterns = [path("ws/new/", ChatConsumer.as_asgi()),'),
    ],
    "BC113": [
        ("tests/*", TO_THE_END, ""),
        (EVERY_FILE, "ALWAYS_EAGER", "AT_ONCE"),
        ("conftest.py", "celery_eager, db_async, task_queue", "other"),
        ("tests/test_new.py", TO_THE_END, PATCHED),
        (TASKS, "chord(header)(store_month_total.s(first))", "chord(header)(other(first))"),
    ],
    "BC114": [(".github/workflows/ci.yml", TO_THE_END, "jobs:\n  test:\n    steps:\n      - run: pytest\n")],
    "BC201": [(VIEWS, LATER, "send_invoice_email.delay(invoice.id)")],
    "BC202": [(VIEWS, TO_THE_END, "\n\ndef seeded(request):\n    send_invoice_email.delay(request.user)\n")],
    "BC203": [
        (
            VIEWS,
            TO_THE_END,
            "\n\ndef seeded(ids):\n    for pk in ids:\n"
            "        transaction.on_commit(lambda: send_invoice_email.delay(pk))\n",
        )
    ],
    "BC204": [(TASKS, TO_THE_END, "\n\ndef seeded():\n    send_invoice_email.apply_async((1,), countdown=86400)\n")],
    "BC301": [(TASKS, TO_THE_END, "\n\n@shared_task\nasync def seeded(pk): ...\n")],
    "BC302": task("return total_invoice.delay(pk).get(timeout=5)"),
    "BC303": [
        (
            VIEWS,
            TO_THE_END,
            "\n\ndef seeded(request):\n    return send_invoice_email.apply_async((1,)).get()\n",
        )
    ],
    "BC304": task(
        "try:\n        raise self.retry()\n    except Exception:\n        return pk", "bind=True", "self, pk"
    ),
    "BC305": task("raise self.retry()\n    EmailLog.send(pk)", "bind=True", "self, pk"),
    "BC306": task("raise self.retry()", "bind=True, max_retries=None", "self, pk"),
    "BC307": [
        *task("return pk", "ignore_result=True"),
        (
            VIEWS,
            TO_THE_END,
            "\n\nfrom .tasks import seeded\n\n\ndef view(request):\n    return seeded.delay(1).get(timeout=5)\n",
        ),
    ],
    "BC308": task("return pk", "autoretry_for=(Exception,)"),
    "BC309": task("import requests\n\n    requests.get(pk)"),
    "BC310": task(
        "import time\n\n    while True:\n        try:\n            return EmailLog.send(pk)\n"
        "        except TransientSMTPError:\n            time.sleep(5)"
    ),
    "BC311": [(BASE, "CELERY_TASK_REJECT_ON_WORKER_LOST = False\n", "")],
    "BC312": [
        (BASE, "CELERY_TASK_ACKS_LATE = True\n", ""),
        *task("return pk", "reject_on_worker_lost=True"),
    ],
    "BC313": task("self.retry()", "bind=True", "self, pk"),
    "BC314": [(EVERY_FILE, "TIME_LIMIT", "TIME")],
    "BC401": [
        *task("return pk", "bind=True", "self, pk"),
        (TASKS, TO_THE_END, "\n\ndef charge():\n    total_invoice.apply_async((1,), link_error=seeded.s(1))\n"),
    ],
    "BC501": consumer(f"async def connect(self):\n    await self.accept()\n    {JOIN}\n{LEAVES}"),
    "BC502": consumer(f"async def connect(self):\n    {JOIN}\n    await self.accept()"),
    "BC503": consumer("async def connect(self):\n    Message.objects.count()\n    await self.accept()"),
    "BC504": consumer("async def connect(self):\n    import time\n\n    time.sleep(1)\n    await self.accept()"),
    "BC505": consumer("async def connect(self):\n    await self.close(code=4003)"),
    "BC506": consumer("async def connect(self):\n    await self.channel_layer.group_send('a', {'type': 'no.such'})"),
    "BC507": consumer(f"async def connect(self):\n    {SPACED}\n{LEAVES}"),
    "BC508": consumer(
        "async def connect(self):\n    from asgiref.sync import async_to_sync\n\n    async_to_sync(self.accept)()"
    ),
    "BC509": [
        *consumer("groups = ['a']"),
        (ROUTING, "from chat.consumers import ChatConsumer", "from chat.consumers import ChatConsumer, Seeded"),
        (ROUTING, "websocket_urlpatterns = [", 'websocket_urlpatterns = [path("ws/new/", Seeded.as_asgi()),'),
        (ASGI, ORIGIN, "URLRouter(websocket_urlpatterns)"),
    ],
    "BC510": NO_ORIGIN,
    "BC511": consumer(
        "async def receive(self, text_data=None, bytes_data=None):\n"
        "    data = json.loads(text_data)\n    await self.send(data['text'])"
    ),
    "BC601": [(BASE, '"task": "billing.tasks.total_month"', '"task": "billing.tasks.total_monht"')],
    "BC602": [(BASE, '{"billing.tasks.send_invoice_email": {', '{"billing.tasks.send_invoice_mail": {')],
    "BC603": [
        (PRODUCTION, REDIS, LAYER),
    ],
    "BC604": [(PRODUCTION, TO_THE_END, "CELERY_TASK_ALWAYS_EAGER = True\n")],
    "BC605": [(PRODUCTION, TO_THE_END, 'CELERY_ACCEPT_CONTENT = ["json", "pickle"]\n')],
    "BC606": [
        (PRODUCTION, ', "socket_timeout": None', ""),
        ("requirements.txt", TO_THE_END, "\nredis==8.1.0\n"),
    ],
    "BC607": [(BASE, '{"queue": "mail"}', '{"queue": "mial"}')],
    "BC608": [
        (EVERY_FILE, "EMAIL_TIMEOUT", "EMAIL_T"),
        (EVERY_FILE, "MAILERS", "OTHERS"),
        (PRODUCTION, TO_THE_END, 'EMAIL_HOST = "mail.example.com"\n'),
    ],
    "BC609": [(PRODUCTION, "  # noqa: BC609", "  # noqa: E501")],
}
"""By the rule's code; a path, what stands there (or the end of the file), and what comes in its place."""

BROKER = 'CELERY_BROKER_URL = environ.get("BROKER_URL", f"{REDIS_URL}/0")'
RESULTS = 'CELERY_RESULT_BACKEND = f"{REDIS_URL}/1"'
NIGHT = 'crontab(hour="2", minute="0")'
INVENTORY_SEEDS = {
    "BC701": [(ASGI, "from django.core.asgi", "from chat.consumers import ChatConsumer\nfrom django.core.asgi")],
    "BC702": [(TASKS, TO_THE_END, 'raise RuntimeError("seeded")\n')],
    "BC703": [("config/__init__.py", "from .celery import app", "app = None  #")],
    "BC704": [(BASE, '"schedule": 300.0}', '"schedule": 300.0, "args": [1]}')],
    "BC705": [(BASE, NIGHT, 'crontab(hour="2")')],
    "BC706": [(BASE, NIGHT, f'{NIGHT}, "options": {{"expires": 5}}')],
    "BC707": [(TASKS, "@shared_task\ndef requeue", "@shared_task(time_limit=600)\ndef requeue")],
    "BC708": [(PRODUCTION, RESULTS, "")],
    "BC709": [(PRODUCTION, BROKER, 'CELERY_BROKER_URL = "memory://"')],
    "BC710": [(PRODUCTION, RESULTS, 'CELERY_RESULT_BACKEND = "cache+memory://"')],
    "BC711": [(PRODUCTION, TO_THE_END, "CELERY_RESULT_EXPIRES = 5\n")],
    "BC712": [(TASKS, "default_retry_delay=10,", "default_retry_delay=10, expires=5,")],
    "BC713": [(PRODUCTION, TO_THE_END, 'CELERY_ACCEPT_CONTENT = ["yaml"]\n')],
    "BC714": [(PRODUCTION, TO_THE_END, 'CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 30}\n')],
    # What the code does not show, the settings as they are in the end do.
    "BC314": [(PRODUCTION, TO_THE_END, 'globals()["CELERY_TASK_TIME_LIMIT"] = None\n')],
    "BC601": [(PRODUCTION, TO_THE_END, 'CELERY_BEAT_SCHEDULE["send again what got lost"]["task"] = "billing.no"\n')],
    "BC603": [(PRODUCTION, TO_THE_END, f'CHANNEL_LAYERS["default"] = dict({{{LAYER}}})\n')],
    "BC604": [(PRODUCTION, TO_THE_END, "CELERY_TASK_ALWAYS_EAGER = not False\n")],
    "BC605": [(PRODUCTION, TO_THE_END, 'CELERY_ACCEPT_CONTENT = ["json"] + ["pickle"]\n')],
    "BC607": [(PRODUCTION, TO_THE_END, 'CELERY_TASK_ROUTES = dict({"billing.*": {"queue": "no" + "where"}})\n')],
    "BC608": [(PRODUCTION, "timeout=10", "timeout=None")],
}
"""The same, of what production alone shows."""
