"""The tasks that send invoices, and the nightly ones. Arguments and results are plain JSON."""

from datetime import date, timedelta
from decimal import Decimal

from celery import Task, chain, chord, shared_task
from django.utils import timezone

from .mail import TransientSMTPError
from .models import EmailLog, Invoice, MonthTotal


class InvoiceTask(Task):
    """A task about one invoice: when it has failed for good, the invoice says so."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        invoice_id = args[0] if args else kwargs["invoice_id"]
        for invoice in Invoice.objects.filter(pk=invoice_id, emailed_at=None):
            invoice.mark_failed()


@shared_task(base=InvoiceTask)
def validate_invoice(invoice_id):
    Invoice.objects.get(pk=invoice_id).check_complete()
    return invoice_id


@shared_task(base=InvoiceTask)
def generate_pdf(invoice_id):
    Invoice.objects.get(pk=invoice_id).make_pdf()
    return invoice_id


# A mail server that says "later" is asked three times more, ten seconds apart. What it refuses for good is not retried.
@shared_task(base=InvoiceTask, autoretry_for=(TransientSMTPError,), default_retry_delay=10, max_retries=3)
def send_invoice_email(invoice_id):
    invoice = Invoice.objects.get(pk=invoice_id)
    # A broker may deliver a message twice: the second one finds the work done.
    if invoice.emailed_at is None:
        EmailLog.send(invoice)
        invoice.mark_emailed()
    return invoice_id


def send_invoice(invoice_id):
    """The whole way of an invoice, as one workflow."""
    return chain(validate_invoice.s(invoice_id), generate_pdf.s(), send_invoice_email.s())


@shared_task
def requeue_stuck_invoices():
    """Send again what was queued long ago: the broker may have lost it."""
    ids = list(Invoice.stuck().values_list("id", flat=True))
    Invoice.objects.filter(id__in=ids).update(queued_at=timezone.now())
    for invoice_id in ids:
        send_invoice_email.delay(invoice_id)
    return ids


@shared_task
def total_invoice(invoice_id):
    return str(Invoice.objects.get(pk=invoice_id).total)


@shared_task
def store_month_total(totals, month):
    total = sum(map(Decimal, totals), Decimal(0))
    MonthTotal.objects.update_or_create(
        month=date.fromisoformat(month), defaults={"total": total, "invoices": len(totals)}
    )
    return str(total)


@shared_task
def total_month(month=None):
    """Total the month's sent invoices: one task for each invoice, and one that adds them up.

    `month` is any of its days in ISO format; without it, the month of yesterday is totalled.
    """
    day = date.fromisoformat(month) if month else timezone.localdate() - timedelta(days=1)
    first = day.replace(day=1).isoformat()
    ids = Invoice.objects.filter(emailed_at__year=day.year, emailed_at__month=day.month).values_list("id", flat=True)
    header = [total_invoice.s(invoice_id) for invoice_id in ids]
    if header:
        chord(header)(store_month_total.s(first))
    else:
        store_month_total.delay([], first)
    return first
