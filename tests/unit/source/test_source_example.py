"""All that the example's code says, judged by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_backchannel.source import read_tree

EXAMPLE = Path(__file__).parents[3] / "example"


@pytest.fixture(scope="module")
def index():
    return read_tree(EXAMPLE)


def test_its_tasks(index):
    assert {
        name.removeprefix("billing.tasks."): (
            task.base,
            dict(task.option_sources),
            [one.name for one in task.parameters],
        )
        for name, task in index.tasks.items()
    } == {
        "generate_pdf": ("billing.tasks.InvoiceTask", {}, ["invoice_id"]),
        "requeue_stuck_invoices": ("", {}, []),
        "send_invoice_email": (
            "billing.tasks.InvoiceTask",
            {"autoretry_for": "(TransientSMTPError,)", "default_retry_delay": "10", "max_retries": "3"},
            ["invoice_id"],
        ),
        "store_month_total": ("", {}, ["totals", "month"]),
        "total_invoice": ("", {}, ["invoice_id"]),
        "total_month": ("", {}, ["month"]),
        "validate_invoice": ("billing.tasks.InvoiceTask", {}, ["invoice_id"]),
    }
    assert [name for name, task in index.tasks.items() if task.may_retry] == ["billing.tasks.send_invoice_email"]
    assert index.duplicates == ()


def test_who_enqueues_them(index):
    assert [
        (site.key.removeprefix("enqueue:billing."), site.kind, site.workflow or site.applied) for site in index.enqueues
    ] == [
        ("tasks.send_invoice->billing.tasks.validate_invoice#1", "signature", "chain"),
        ("tasks.send_invoice->billing.tasks.generate_pdf#1", "signature", "chain"),
        ("tasks.send_invoice->billing.tasks.send_invoice_email#1", "signature", "chain"),
        ("tasks.requeue_stuck_invoices->billing.tasks.send_invoice_email#1", "enqueue", ""),
        ("tasks.total_month->billing.tasks.total_invoice#1", "signature", ""),
        ("tasks.total_month->billing.tasks.store_month_total#1", "signature", "chord"),
        ("tasks.total_month->chord#1", "workflow", "chord"),
        ("tasks.total_month->billing.tasks.store_month_total#2", "enqueue", ""),
        ("views.email_invoice->billing.tasks.send_invoice_email#1", "enqueue", ""),
        ("views.email_drafts->billing.tasks.send_invoice#1", "workflow", ""),
    ]
    assert all(site.resolved for site in index.enqueues if site.kind != "workflow")
    in_views = [site.around for site in index.enqueues if site.place.module == "billing.views"]
    assert [(one.in_atomic, one.in_on_commit, one.in_try, one.in_loop) for one in in_views] == [
        (True, True, True, False),
        (True, True, True, True),
    ]


def test_its_schedule(index):
    assert [(one.name, one.task, one.resolved, one.schedule) for one in index.beat] == [
        ("total the month, nightly", "billing.tasks.total_month", True, "crontab(hour='2', minute='0')"),
        ("send again what got lost", "billing.tasks.requeue_stuck_invoices", True, "300.0"),
    ]


def test_its_consumers_and_their_handlers(index):
    assert {
        name: [(one.message_type, one.sent) for one in consumer.handlers] for name, consumer in index.consumers.items()
    } == {
        "billing.consumers.InvoiceStatusConsumer": [("invoice.status", True)],
        "chat.consumers.ChatConsumer": [("chat.message", True)],
    }
    assert all(one.is_async and one.is_json and one.protocol == "websocket" for one in index.consumers.values())
    assert all(one.dispatches == () for one in index.consumers.values())


def test_its_groups_and_what_is_sent_to_them(index):
    assert [(one.key, one.message_type, one.message_keys, one.through) for one in index.group_uses] == [
        ("group_add:billing.consumers.InvoiceStatusConsumer.connect->invoice.{}#1", None, None, ""),
        ("group_discard:billing.consumers.InvoiceStatusConsumer.disconnect->invoice.{}#1", None, None, ""),
        ("group_send:billing.live.announce->invoice.{}#1", "invoice.status", ("type", "status"), "async_to_sync"),
        ("group_add:chat.consumers.ChatConsumer.websocket_connect->{}#1", None, None, "groups"),
        (
            "group_send:chat.consumers.ChatConsumer.receive_json->{}#1",
            "chat.message",
            ("type", "id", "text", "author"),
            "",
        ),
    ]
    assert index.groups() == ["invoice.{}"]
    assert index.unhandled() == []


def test_its_routes(index):
    before = ("config.origin.SiteOriginValidator", "channels.auth.AuthMiddlewareStack")
    assert [(one.pattern, one.consumer, one.middleware) for one in index.routes] == [
        ("ws/chat/<room:room>/", "chat.consumers.ChatConsumer", before),
        ("ws/invoices/<int:invoice_id>/", "billing.consumers.InvoiceStatusConsumer", before),
    ]


def test_its_settings(index):
    production = [one for one in index.settings if one.place.module == "config.settings.production"]
    assert [(one.name, one.literal) for one in production] == [
        ("CELERY_BROKER_URL", False),
        ("CELERY_RESULT_BACKEND", False),
        ("CHANNEL_LAYERS", False),
    ]
    assert index.unread == ()
