"""Tests in the article's manner pass with an empty conftest.py.

That is eager mode by `celery_eager`, the call site by `patch`, Channels' own communicator, and `db_async`. They run in
the example project, whose own tests are left out: nothing but the plugin stands behind them. What the plugin has beyond
that manner (`task_queue`, `websocket`, ...) they do not use.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example"

BODIES = """
import pytest
from billing.mail import TransientSMTPError
from billing.models import EmailLog, Invoice
from billing.tasks import send_invoice_email
from celery.exceptions import Retry
from tests.factories import InvoiceFactory
from unittest.mock import patch


@pytest.fixture
def unsent(db):
    return InvoiceFactory()


def test_delay_runs_the_body_and_get_has_what_it_returned(unsent, celery_eager, mailoutbox):
    assert send_invoice_email.delay(unsent.pk).get(timeout=5) == unsent.pk
    unsent.refresh_from_db()
    assert (unsent.status, len(mailoutbox)) == (Invoice.Status.SENT, 1)
    assert unsent.emailed_at


def test_the_decision_to_retry_comes_out_of_delay(unsent, celery_eager, mailoutbox):
    with patch("billing.tasks.EmailLog.send", side_effect=TransientSMTPError), pytest.raises(Retry):
        send_invoice_email.delay(unsent.pk).get(timeout=5)
    unsent.refresh_from_db()
    assert (unsent.status, unsent.emailed_at, mailoutbox) == (Invoice.Status.DRAFT, None, [])


def test_an_error_of_the_body_comes_out_as_it_is(db, celery_eager):
    with pytest.raises(Invoice.DoesNotExist):
        send_invoice_email.delay(7)
"""

CALL_SITE = """
import pytest
from tests.factories import InvoiceFactory
from unittest.mock import patch


@pytest.mark.parametrize("status", ["draft", "failed"])
def test_the_view_hands_the_key_over_and_mails_nothing_itself(client, db, mailoutbox, status):
    key = InvoiceFactory(status=status).pk
    with patch("billing.tasks.send_invoice_email.delay") as enqueue:
        assert client.post(f"/invoices/{key}/email/").status_code == 302
    enqueue.assert_called_once_with(key)
    assert not mailoutbox
"""

WORKFLOWS = """
from billing.models import Invoice, MonthTotal
from billing.tasks import generate_pdf, send_invoice_email, store_month_total, total_invoice, validate_invoice
from celery import chain, chord, group
from tests.factories import InvoiceFactory


def test_a_chain_passes_the_key_from_step_to_step(db, celery_eager):
    key = InvoiceFactory().pk
    steps = [validate_invoice.s(key), *(task.s() for task in (generate_pdf, send_invoice_email))]
    assert chain(*steps).apply_async().get(timeout=5) == key
    assert Invoice.objects.filter(status="sent").exclude(pdf="").count() == 1


def test_a_group_and_a_chord_gather_what_their_tasks_return(db, celery_eager):
    totals = [total_invoice.s(InvoiceFactory().pk) for _ in range(2)]
    assert group(totals).apply_async().get(timeout=5) == ["190.00", "190.00"]
    assert chord(totals)(store_month_total.s("2026-06-01")).get(timeout=5) == "380.00"
    assert MonthTotal.objects.get().invoices == 2
"""

CONSUMER = """
import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from chat.consumers import ChatConsumer
from chat.models import Message
from tests.factories import UserFactory

pytestmark = pytest.mark.asyncio


async def answers_to(*texts):
    '''Somebody writes in the room, to the consumer alone; gives each answer.'''
    writer = WebsocketCommunicator(ChatConsumer.as_asgi(), path="/ws/chat/room-42/")
    # Nothing stands before the consumer that would fill the scope.
    writer.scope["user"] = await UserFactory.acreate()
    writer.scope["url_route"] = {"args": (), "kwargs": {"room": "room-42"}}
    assert (await writer.connect(timeout=2))[0]
    answers = []
    for text in texts:
        await writer.send_json_to({"text": text})
        answers.append(await writer.receive_json_from(timeout=2))
    await writer.disconnect(timeout=2)
    return answers


@database_sync_to_async
def kept():
    return [(message.room, message.text) for message in Message.objects.all()]


async def test_the_consumer_answers(db_async):
    assert await answers_to("good morning") == [{"text": "good morning"}]


async def test_what_the_consumer_stored_is_seen_from_a_thread(db_async):
    await answers_to("first", "second")
    assert await kept() == [("room-42", "first"), ("room-42", "second")]


async def test_the_test_before_has_left_nothing(db_async):
    assert await kept() == []
"""

APPLICATION = """
import contextlib
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from config.asgi import application

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def visitor(path="/ws/chat/room-42/"):
    browser = WebsocketCommunicator(application, path)
    accepted, _ = await browser.connect(timeout=2)
    yield browser if accepted else None
    await browser.disconnect(timeout=2)


async def test_the_route_leads_through_all_middleware_to_the_chat(db_async):
    async with visitor() as browser:
        assert browser


async def test_invoices_are_not_for_visitors(db_async):
    async with visitor("/ws/invoices/7/") as browser:
        assert browser is None


async def test_a_group_send_from_the_test_or_from_a_thread_reaches_the_socket(db_async):
    send = get_channel_layer().group_send
    async with visitor() as browser:
        for way, text in ((send, "from the loop"), (sync_to_async(async_to_sync(send)), "from a thread")):
            await way("room-42", {"type": "chat.message", "text": text})
            assert (await browser.receive_json_from(timeout=2))["text"] == text
"""

SLOW_JOB = """
import pytest


@pytest.mark.celery_integration
def test_of_the_slow_job():
    pass
"""

MODULES = {
    "test_bodies.py": BODIES,
    "test_call_site.py": CALL_SITE,
    "test_workflows.py": WORKFLOWS,
    "test_consumer.py": CONSUMER,
    "test_application.py": APPLICATION,
    "test_slow_job.py": SLOW_JOB,
}
TESTS = 14


@pytest.fixture
def in_the_example(pytester):
    """The example project with an empty conftest.py, and the tests above in place of its own."""

    def unwanted(folder, names):
        tests = {name for name in names if name.startswith("test_")} if Path(folder).name == "tests" else set()
        return tests | shutil.ignore_patterns("__pycache__", ".*")(folder, names)

    shutil.copytree(EXAMPLE, pytester.path, ignore=unwanted, dirs_exist_ok=True)
    (pytester.path / "conftest.py").write_text("")
    for name, text in MODULES.items():
        (pytester.path / name).write_text(text)

    def run(*arguments, **outcomes):
        result = pytester.runpytest_subprocess(*arguments)
        result.assert_outcomes(**outcomes)
        assert result.ret == 0

    return run


def test_an_empty_conftest_is_enough(in_the_example):
    in_the_example(*MODULES, passed=TESTS)


@pytest.mark.parametrize("arguments", [["-p", "no:xdist"], ["-n2", "--dist", "loadscope"]], ids=" ".join)
def test_the_order_is_of_no_matter_nor_is_the_process(in_the_example, arguments):
    in_the_example(*arguments, *reversed(MODULES), passed=TESTS)


def test_the_fast_job_leaves_the_marked_ones_out(in_the_example):
    modules = ("test_slow_job.py", "test_application.py")
    in_the_example("-m", "not celery_integration", *modules, passed=3, deselected=1)
