"""BC2xx to BC4xx: what each rule finds beside its own example, and what only looks like it."""

from __future__ import annotations

import pytest

from pytest_backchannel.checks.check_tree import check_tree

TASKS = """
from celery import shared_task

@shared_task
def send(pk, other=None): ...

@shared_task(bind=True)
def bound(self, pk): ...

@shared_task(bind=True)
def takes_id(self, task_id, pk): ...

@shared_task(bind=True)
def takes_any(self, backup, *args, **kwargs): ...

@shared_task
def old_style(task_id): ...

@shared_task
def new_style(request, exc, traceback): ...

@shared_task
def nothing(): ...

@shared_task(ignore_result=True)
def ignored(pk): ...
"""
HEAD = "from django.db import transaction\nfrom shop.tasks import *\nfrom shop.models import Order\n"
HEAD += "from shop.tasks import send, bound, takes_id, takes_any, old_style, new_style, nothing, ignored\n"


def project(body):
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return {"shop/tasks.py": TASKS, "shop/views.py": f"{HEAD}\ndef view(request, orders, pk):\n{lines}\n"}


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("BC201", "with transaction.atomic():\n    send.apply_async((pk,))"),
        ("BC201", "with transaction.atomic():\n    for order in orders:\n        send.delay(order.pk)"),
        ("BC202", "send.delay({1, 2})"),
        ("BC202", "send.delay(set(orders))"),
        ("BC202", "send.delay(other=request.user)"),
        ("BC202", "send.apply_async(args=[Order.objects.first()])"),
        ("BC202", "send.apply_async(kwargs={'pk': Order.objects.filter(pk=pk)})"),
        ("BC202", "send.delay(Order.objects.values_list('pk', flat=True))"),
        (
            "BC203",
            "for order in orders:\n    def later():\n        send.delay(order.pk)\n    transaction.on_commit(later)",
        ),
        ("BC203", "for order in orders:\n    key = order.pk\n    transaction.on_commit(lambda: send.delay(key))"),
        ("BC303", "result = send.delay(pk)\nreturn result.get()"),
        ("BC303", "return send.apply_async((pk,)).get(propagate=False)"),
        ("BC307", "result = ignored.delay(pk)\nreturn result.get(timeout=1)"),
        ("BC401", "send.apply_async((pk,), link_error=[bound.s(pk)])"),
        ("BC401", "send.apply_async((pk,), link_error=takes_any.s(request.backup))"),
        ("BC401", "send.s(pk).on_error(nothing.s())"),
        ("BC401", "send.apply_async((pk,), link_error=old_style.s(1, 2))"),
    ],
)
def test_it_is_found(codes, code, body):
    assert codes(project(body)) == [code]


@pytest.mark.parametrize(
    "body",
    [
        "with transaction.atomic():\n    transaction.on_commit(lambda: send.delay(pk))",
        "with transaction.atomic():\n    send.delay_on_commit(pk)",
        "with transaction.atomic(using='replica'):\n    send.delay(pk)",
        "with transaction.atomic():\n    pk = send.s(pk)\nsend.delay(pk)",
        "with transaction.atomic():\n    request.delay(pk)",
        "send.delay(list({1, 2}))",
        "send.delay(Order.objects.get(pk=pk).pk)",
        "send.delay(Order.objects.filter(pk=pk).count())",
        "send.delay(Order.objects.values_list('pk', flat=True).first())",
        "send.delay(list(Order.objects.values_list('pk', flat=True)))",
        "send.delay(request.user.pk)",
        "send.apply_async(({1, 2},), serializer='pickle')",
        "cache.delay(set(orders))",
        "for order in orders:\n    transaction.on_commit(lambda order=order: send.delay(order.pk))",
        "for order in orders:\n    with transaction.atomic():\n"
        "        transaction.on_commit(lambda: send.delay(order.pk))",
        "for order in orders:\n    transaction.on_commit(lambda: send.delay(pk))\n    break",
        "for order in orders:\n    pass\ntransaction.on_commit(lambda: send.delay(order.pk))",
        "for order in orders:\n    transaction.on_commit(lambda: [send.delay(order) for order in orders])",
        "return send.delay(pk).get(timeout=5)",
        "return send.delay(pk).get(5)",
        "return request.session.delay(pk).get()",
        "return send.apply((pk,)).get()",
        "return ignored.apply_async((pk,), ignore_result=False).get(timeout=1)",
        "send.apply_async((pk,), link_error=bound.si(pk))",
        "send.apply_async((pk,), link_error=bound.s())",
        "send.apply_async((pk,), link_error=takes_id.s(pk))",
        "send.apply_async((pk,), link_error=old_style.s())",
        "send.apply_async((pk,), link_error=new_style.s())",
        "send.apply_async((pk,), link_error=bound.signature((pk,), immutable=True))",
        "send.apply_async((pk,), link=bound.s())",
    ],
)
def test_what_only_looks_like_it_is_let_be(codes, body):
    assert codes(project(body)) == []


def task(text):
    return {"shop/tasks.py": f"from celery import group, shared_task\nfrom celery.exceptions import Retry\n{text}"}


BOUND = "@shared_task(bind=True, max_retries=3)\ndef send(self, pk):\n"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "BC302",
            "@shared_task\ndef a(): ...\n@shared_task\ndef b():\n    r = a.delay()\n    return r.get(timeout=3)\n",
        ),
        (
            "BC302",
            "@shared_task\ndef a(): ...\n@shared_task\ndef b():\n    return group(a.s(), a.s())().get(timeout=3)\n",
        ),
        ("BC304", BOUND + "    try:\n        raise self.retry()\n    except:\n        pass\n"),
        (
            "BC304",
            BOUND + "    try:\n        raise self.retry()\n    except (ValueError, Exception):\n        return 1\n",
        ),
        (
            "BC305",
            BOUND
            + "    try:\n        post(pk)\n    except OSError as e:\n        raise self.retry(exc=e)\n        log()\n",
        ),
        ("BC308", "@shared_task(autoretry_for=[BaseException])\ndef send(pk): ...\n"),
        ("BC309", "from requests import get as fetch\ndef f(url):\n    return fetch(url, {})\n"),
        ("BC309", "import smtplib\ndef f():\n    smtplib.SMTP('mail', 25)\n"),
    ],
)
def test_it_is_found_in_a_task(codes, code, text):
    assert codes(task(text)) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "async def helper(): ...\n",
        "from asgiref.sync import async_to_sync\n@shared_task\n@async_to_sync\nasync def send(pk): ...\n",
        "@shared_task(base=AsyncTask)\nasync def send(pk): ...\n",
        "@shared_task\ndef a(): ...\n@shared_task\ndef b():\n    return a.apply().get()\n",
        "@shared_task\ndef b(pk):\n    return {}.get(pk)\n",
        "@shared_task\ndef a(): ...\n@shared_task\ndef b():\n    return a.delay().get(disable_sync_subtasks=False)\n",
        "from celery.result import allow_join_result\n@shared_task\ndef a(): ...\n@shared_task\ndef b():\n"
        "    with allow_join_result():\n        return a.delay().get(timeout=2)\n",
        BOUND
        + "    try:\n        raise self.retry()\n    except Retry:\n        raise\n"
        + "    except Exception:\n        pass\n",
        BOUND + "    try:\n        raise self.retry()\n    except Exception:\n        log()\n        raise\n",
        BOUND + "    try:\n        post(pk)\n    except Exception as e:\n        raise self.retry(exc=e)\n",
        BOUND + "    try:\n        raise self.retry()\n    except self.MaxRetriesExceededError:\n        pass\n",
        BOUND + "    try:\n        self.retry(throw=False)\n    except Exception:\n        pass\n",
        BOUND + "    if pk:\n        raise self.retry()\n    post(pk)\n",
        BOUND + "    raise self.retry()\n    return None\n",
        BOUND + "    self.retry(throw=False)\n    post(pk)\n",
        "@shared_task(max_retries=None)\ndef send(pk): ...\n",
        "@shared_task(bind=True, max_retries=None)\ndef send(self):\n"
        "    if self.request.retries < 5:\n        raise self.retry()\n",
        "@shared_task(autoretry_for=(Exception,), dont_autoretry_for=(ValueError,))\ndef send(pk): ...\n",
        "@shared_task(autoretry_for=(OSError,))\ndef send(pk): ...\n",
        "import requests\ndef f(url, **options):\n    requests.get(url, **options)\n",
        "import requests\ndef f(url):\n    requests.get(url, timeout=None)\n",
        "def f(requests, url):\n    requests.get(url)\n",
        "import smtplib\ndef f():\n    smtplib.SMTP('mail', 25, None, 10)\n",
    ],
)
def test_what_only_looks_like_it_in_a_task_is_let_be(codes, text):
    assert codes(task(text)) == []


def test_a_project_that_waits_for_the_commit_in_its_own_way_is_let_be(codes):
    files = project("with transaction.atomic():\n    send.delay(pk)")
    base = "from celery import Task\n\nclass Waits(Task):\n    def apply_async(self, *args, **kwargs):\n"
    files["shop/base.py"] = base + "        transaction.on_commit(lambda: super().apply_async(*args, **kwargs))\n"
    assert codes(files) == []


def test_another_serialiser_takes_what_json_does_not(codes):
    files = project("send.delay({1, 2})")
    assert codes({**files, "shop/settings.py": "CELERY_TASK_SERIALIZER = 'yaml'\n"}) == []
    assert codes({**files, "shop/settings.py": "CELERY_TASK_SERIALIZER = 'json'\n"}) == ["BC202"]


def test_with_a_delay_only_a_rollback_hurts(tmp_path):
    for name, text in project("with transaction.atomic():\n    send.apply_async((pk,), countdown=60)").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    messages = [one.message for one in check_tree(tmp_path).diagnostics]
    assert messages == [
        "shop.tasks.send is enqueued inside of atomic(): where that is rolled back, it runs all the same"
    ]


def test_a_test_may_enqueue_as_it_likes(codes):
    files = project("pass")
    files["tests/test_shop.py"] = (
        HEAD + "def test_it(orders):\n    with transaction.atomic():\n        send.delay({1})\n"
    )
    assert codes(files) == []
