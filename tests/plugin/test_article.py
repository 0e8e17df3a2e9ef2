"""The article's own tests, as it writes them, in the example project: with the plugin, an empty conftest.py does.

Added are only the imports that the article leaves out, and what it elides ("... open communicator, send ...").
"""

from __future__ import annotations

import shutil
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "example"

IMPORTS = """
import pytest
from billing.mail import TransientSMTPError
from billing.tasks import generate_pdf, send_invoice_email, validate_invoice
from chat.models import Message
from tests.factories import InvoiceFactory, UserFactory
"""

TASKS = """
def test_send_invoice_email_marks_invoice(db, celery_eager, mailoutbox):
    invoice = InvoiceFactory()
    result = send_invoice_email.delay(invoice.id)        # runs synchronously
    assert result.get() == invoice.id                    # task return value
    invoice.refresh_from_db()
    assert invoice.emailed_at is not None
    assert len(mailoutbox) == 1


from unittest.mock import patch

def test_view_enqueues_invoice_email(client, db):
    invoice = InvoiceFactory()
    with patch("billing.tasks.send_invoice_email.delay") as mock_delay:
        client.post(f"/invoices/{invoice.id}/email/")
    mock_delay.assert_called_once_with(invoice.id)


from celery.exceptions import Retry

def test_send_invoice_email_retries_on_transient_smtp(db, celery_eager):
    invoice = InvoiceFactory()
    with patch("billing.tasks.EmailLog.send", side_effect=TransientSMTPError):
        with pytest.raises(Retry):
            send_invoice_email.delay(invoice.id).get()
    invoice.refresh_from_db()
    assert invoice.emailed_at is None                    # didn't mark prematurely


from celery import chain

def test_invoice_workflow(db, celery_eager):
    invoice = InvoiceFactory()
    workflow = chain(
        validate_invoice.s(invoice.id),
        generate_pdf.s(),
        send_invoice_email.s(),
    )
    workflow.apply_async().get()
    invoice.refresh_from_db()
    assert invoice.status == "sent"
"""

CONSUMERS = """
import pytest
from channels.testing import WebsocketCommunicator
from chat.consumers import ChatConsumer

@pytest.mark.asyncio
async def test_chat_message_round_trip(db_async):
    user = await UserFactory.acreate()
    comm = WebsocketCommunicator(
        ChatConsumer.as_asgi(),
        path="/ws/chat/room-42/",
    )
    comm.scope["url_route"] = {"kwargs": {"room": "room-42"}}
    comm.scope["user"] = user

    connected, _ = await comm.connect()
    assert connected

    await comm.send_json_to({"text": "hello"})
    reply = await comm.receive_json_from(timeout=2)
    assert reply == {"text": "hello"}

    await comm.disconnect()


from channels.db import database_sync_to_async

@database_sync_to_async
def _count_messages(room):
    return Message.objects.filter(room=room).count()

@pytest.mark.asyncio
async def test_message_is_persisted(db_async):
    comm = WebsocketCommunicator(ChatConsumer.as_asgi(), path="/ws/chat/room-42/")
    comm.scope["url_route"] = {"kwargs": {"room": "room-42"}}
    comm.scope["user"] = await UserFactory.acreate()
    await comm.connect()
    await comm.send_json_to({"text": "hello"})
    await comm.receive_json_from(timeout=2)
    assert await _count_messages("room-42") == 1
    await comm.disconnect()
"""

ROUTING = """
from channels.testing import WebsocketCommunicator
from config.asgi import application                  # the actual ASGI router

@pytest.mark.asyncio
async def test_chat_route_reachable(db_async):
    comm = WebsocketCommunicator(application, "/ws/chat/room-42/")
    connected, _ = await comm.connect()
    assert connected
    await comm.disconnect()


from channels.layers import get_channel_layer
from asgiref.sync import async_to_sync

@pytest.mark.asyncio
async def test_external_broadcast_reaches_client(db_async):
    comm = WebsocketCommunicator(application, "/ws/chat/room-42/")
    connected, _ = await comm.connect()
    assert connected

    # Simulate something outside the consumer (a Celery task, a signal) firing
    # a group_send. We use the same channel layer the consumer subscribed to.
    layer = get_channel_layer()
    await layer.group_send(
        "room-42",
        {"type": "chat.message", "text": "system: server restarting in 30s"},
    )

    reply = await comm.receive_json_from(timeout=2)
    assert reply["text"].startswith("system:")
    await comm.disconnect()
"""

MARKER = """
@pytest.mark.celery_integration
def test_of_the_slow_job():
    pass
"""

TESTS = 9


def project(pytester):
    def unwanted(folder, names):
        tests = {name for name in names if name.startswith("test_")} if Path(folder).name == "tests" else set()
        return tests | shutil.ignore_patterns("__pycache__", ".*")(folder, names)

    shutil.copytree(EXAMPLE, pytester.path, ignore=unwanted, dirs_exist_ok=True)
    (pytester.path / "conftest.py").write_text("")
    for name, text in {"tasks": TASKS, "consumers": CONSUMERS, "routing": ROUTING, "marker": MARKER}.items():
        (pytester.path / f"test_{name}.py").write_text(IMPORTS + text)


def test_as_written(pytester):
    project(pytester)
    result = pytester.runpytest_subprocess("test_tasks.py", "test_consumers.py", "test_routing.py", "test_marker.py")
    assert result.parseoutcomes()["passed"] == TESTS
    assert result.ret == 0


def test_in_any_order_and_in_parallel(pytester):
    project(pytester)
    for arguments in (["-p", "no:xdist"], ["-n2", "--dist", "loadscope"]):
        result = pytester.runpytest_subprocess(*arguments, *map(str, sorted(pytester.path.glob("test_*.py"))))
        assert result.parseoutcomes()["passed"] == TESTS, arguments
        assert result.ret == 0


def test_the_fast_job_leaves_the_marked_ones_out(pytester):
    project(pytester)
    result = pytester.runpytest_subprocess("-m", "not celery_integration", "test_marker.py", "test_routing.py")
    result.assert_outcomes(passed=2, deselected=1)
