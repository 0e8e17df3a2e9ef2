from functools import partial

from celery.exceptions import OperationalError
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from .models import Invoice, MonthTotal
from .tasks import send_invoice, send_invoice_email

UNREACHABLE = "The queue can't be reached now. The invoices stay marked, and are sent as soon as it is back."


@require_safe
def invoice_list(request):
    invoices = Invoice.objects.prefetch_related("lines")
    return render(
        request,
        "billing/invoice_list.html",
        {
            "invoices": invoices,
            "drafts": sum(invoice.status == Invoice.Status.DRAFT for invoice in invoices),
            "totals": MonthTotal.objects.all()[:3],
        },
    )


@require_safe
def invoice_detail(request, invoice_id):
    invoice = get_object_or_404(Invoice.objects.prefetch_related("lines", "emails"), pk=invoice_id)
    return render(request, "billing/invoice_detail.html", {"invoice": invoice})


@require_safe
def invoice_pdf(request, invoice_id):
    invoice = get_object_or_404(Invoice, pk=invoice_id)
    invoice.make_pdf()
    with invoice.pdf.open() as file:
        return HttpResponse(
            file.read(),
            content_type="application/pdf",
            headers={"Content-Disposition": f'inline; filename="invoice-{invoice.number}.pdf"'},
        )


@require_POST
def email_invoice(request, invoice_id):
    """Mark the invoice, and enqueue the e-mail when that is committed: a worker may be faster than we are."""
    try:
        with transaction.atomic():
            invoice = get_object_or_404(Invoice.objects.select_for_update(), pk=invoice_id)
            if invoice.queue():
                transaction.on_commit(partial(send_invoice_email.delay, invoice.id))
            else:
                messages.info(request, f"{invoice} is {invoice.get_status_display().lower()} already.")
    except OperationalError:
        messages.warning(request, UNREACHABLE)
    return redirect(invoice)


@require_POST
def email_drafts(request):
    """Send every draft, each as a workflow of its own."""
    try:
        with transaction.atomic():
            drafts = Invoice.objects.select_for_update().filter(status=Invoice.Status.DRAFT)
            for invoice in drafts:
                invoice.queue()
                transaction.on_commit(send_invoice(invoice.id).delay)
    except OperationalError:
        messages.warning(request, UNREACHABLE)
    return redirect("invoice-list")
