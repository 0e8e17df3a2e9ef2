"""The article's "Chained workflows": chain, group, chord.

Eager mode hands Python objects from step to step. `task_queue` sends each step as a message, through the project's
serialiser, and a chord counts its header in the result backend.
"""

from datetime import UTC, datetime
from decimal import Decimal

from billing.models import MonthTotal
from billing.tasks import generate_pdf, send_invoice_email, total_invoice, total_month, validate_invoice
from celery import chain, group

from tests.factories import InvoiceFactory, InvoiceLineFactory

JUNE = datetime(2026, 6, 15, tzinfo=UTC)


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


def test_group(db, celery_eager):
    invoices = [InvoiceFactory(), InvoiceFactory(line__quantity=3)]
    totals = group(total_invoice.s(invoice.id) for invoice in invoices).apply_async().get()
    assert totals == ["190.00", "285.00"]


def test_chord_totals_the_month(db, celery_eager):
    first, second = InvoiceFactory(emailed_at=JUNE), InvoiceFactory(emailed_at=JUNE)
    InvoiceLineFactory(invoice=second, quantity=1, unit_price="0.50")
    InvoiceFactory()  # not sent, not counted
    total_month.delay("2026-06-30")
    month = MonthTotal.objects.get()
    assert (month.month.isoformat(), month.invoices) == ("2026-06-01", 2)
    assert month.total == first.total + second.total == Decimal("380.50")


def test_a_month_without_invoices_is_zero(db, celery_eager):
    total_month.delay("2026-06-30")
    assert MonthTotal.objects.get().total == 0
