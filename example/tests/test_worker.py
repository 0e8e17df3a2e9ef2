"""The same with what production has: a real Redis and real worker processes, on the test's database.

These are the slow job's tests: `pytest -m celery_integration`. Redis comes from PATH, or from the wheel that
pytest-backchannel[servers] installs.
"""

from datetime import UTC, datetime

import pytest
from billing.models import Invoice, MonthTotal
from billing.tasks import send_invoice, send_invoice_email, store_month_total, total_invoice
from celery import chord

from tests.factories import InvoiceFactory

pytestmark = pytest.mark.celery_integration


def test_the_workflow_through_a_real_worker(worker_process):
    invoice = InvoiceFactory()
    worker = worker_process(queues=["celery", "mail"])
    send_invoice(invoice.id).delay().get(timeout=10)
    invoice.refresh_from_db()
    assert invoice.status == Invoice.Status.SENT, worker.log


def test_the_mail_goes_to_a_queue_of_its_own(worker_process):
    others, mail = worker_process(queues=["celery"]), worker_process(queues=["mail"])
    result = send_invoice_email.delay(InvoiceFactory().id)
    result.get(timeout=10)
    assert result.id in mail.log
    assert result.id not in others.log


def test_a_chord_counts_its_header_in_redis(worker_process):
    worker_process(concurrency=2)
    invoices = [InvoiceFactory(emailed_at=datetime(2026, 6, 15, tzinfo=UTC)) for _ in range(3)]
    totals = chord([total_invoice.s(invoice.id) for invoice in invoices])
    assert totals(store_month_total.s("2026-06-01")).get(timeout=10) == "570.00"
    assert MonthTotal.objects.get().invoices == 3
