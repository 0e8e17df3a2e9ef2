"""Do the tasks come together: as a chain, a group, a chord, and at the time that beat has for them?

Eager mode calls step after step. `task_queue` sends each as a message, and a chord counts its header in the result
backend.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from billing.models import IncompleteInvoice, Invoice, MonthTotal
from billing.tasks import generate_pdf, send_invoice, total_invoice, total_month
from celery import group

from tests.factories import InvoiceFactory, InvoiceLineFactory

JUNE = datetime(2026, 6, 15, tzinfo=UTC)


def test_the_workflow_takes_an_invoice_from_draft_to_sent(db, celery_eager):
    draft = InvoiceFactory()
    assert send_invoice(draft.id).delay().get(timeout=5) == draft.id
    sent = Invoice.objects.get(status=Invoice.Status.SENT)
    assert sent == draft
    assert sent.pdf


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


def test_the_workflow_is_three_messages(db, task_queue):
    invoice = InvoiceFactory()
    result = send_invoice(invoice.id).delay()
    task_queue.run_one()
    task_queue.assert_enqueued(generate_pdf.s(invoice.id))
    task_queue.run()
    assert result.get() == invoice.id


def test_a_step_that_fails_ends_the_workflow(db, task_queue):
    invoice = InvoiceFactory(customer_email="", status=Invoice.Status.QUEUED)
    send_invoice(invoice.id).delay()
    with pytest.raises(IncompleteInvoice):
        task_queue.run()
    task_queue.assert_empty()
    invoice.refresh_from_db()
    assert invoice.status == Invoice.Status.FAILED


@pytest.mark.parametrize(
    "delivered",
    [
        pytest.param("once"),
        pytest.param("twice", marks=pytest.mark.task_queue(redeliver_all=True)),
        pytest.param("in any order", marks=pytest.mark.task_queue(order="random", seed=7)),
    ],
)
def test_each_draft_is_mailed_once(client, db, task_queue, mailoutbox, delivered):
    drafts = [InvoiceFactory(customer_email=f"{name}@example.com") for name in ("ada", "grace", "joan")]
    client.post("/invoices/email/")
    task_queue.run()  # now, and not in an hour
    assert sorted(mail.to[0] for mail in mailoutbox) == [draft.customer_email for draft in drafts]
    assert {invoice.status for invoice in Invoice.objects.all()} == {Invoice.Status.SENT}
    assert all(invoice.pdf for invoice in Invoice.objects.all())


@pytest.mark.task_queue(broker=["stepped", "redis"])
def test_chord_at_two_levels(db, task_queue):
    """Once in this process, and once, in the slow job, through Redis and a worker process."""
    for _ in range(3):
        InvoiceFactory(emailed_at=JUNE)
    total_month.delay("2026-06-30")
    task_queue.run()
    assert MonthTotal.objects.get().total == Decimal("570.00")


def test_beat_totals_the_month_every_night(db, task_queue, virtual_clock):
    virtual_clock.move_to(datetime(2026, 7, 1, 0, 0, tzinfo=UTC))
    InvoiceFactory(emailed_at=JUNE)
    due = task_queue.beat(timedelta(hours=3))
    assert [task.name for task in due if task.name == total_month.name] == [total_month.name]
    task_queue.run()
    assert MonthTotal.objects.get().month == date(2026, 6, 1)
