"""Does the task do its job? `celery_eager` runs its body where it is called, which is all that most tests need.

What eager mode does not look at comes last: `task_queue` runs the body in Celery's real worker, in this process.
"""

import pytest
from billing.models import IncompleteInvoice, Invoice
from billing.tasks import generate_pdf, send_invoice_email, validate_invoice
from django.utils import timezone

from tests.factories import InvoiceFactory


def test_the_task_mails_its_invoice_and_notes_when(db, celery_eager, mailoutbox):
    started, draft = timezone.now(), InvoiceFactory()
    returned = send_invoice_email.delay(draft.id).get(timeout=5)
    assert returned == draft.id
    assert [mail.to for mail in mailoutbox] == [[draft.customer_email]]
    assert started <= Invoice.objects.get(id=draft.id).emailed_at <= timezone.now()


def test_the_email_carries_the_pdf(db, celery_eager, mailoutbox):
    invoice = InvoiceFactory()
    send_invoice_email.delay(invoice.id)
    [message] = mailoutbox
    [attachment] = message.attachments
    assert message.to == ["miller@example.com"]
    assert attachment[0] == f"invoice-{invoice.number}.pdf"
    assert attachment[1].startswith(b"%PDF-")
    assert attachment[2] == "application/pdf"


def test_a_message_delivered_twice_sends_one_email(db, celery_eager, mailoutbox):
    invoice = InvoiceFactory()
    send_invoice_email.delay(invoice.id)
    send_invoice_email.delay(invoice.id)
    assert len(mailoutbox) == 1


def test_the_pdf_is_kept(db, celery_eager):
    invoice = InvoiceFactory()
    assert generate_pdf.delay(invoice.id).get() == invoice.id
    invoice.refresh_from_db()
    with invoice.pdf.open() as file:
        assert file.read().startswith(b"%PDF-")


def test_names_that_the_pdf_cannot_spell_do_not_stop_it(db, celery_eager):
    invoice = InvoiceFactory(customer_name="Łukasz 李")
    generate_pdf.delay(invoice.id)
    invoice.refresh_from_db()
    assert invoice.pdf


@pytest.mark.parametrize(
    ("invoice", "missing"),
    [
        ({"customer_email": ""}, "the customer's e-mail address"),
        ({"line": None}, "a line"),
        ({"customer_email": "", "line": None}, "the customer's e-mail address and a line"),
    ],
)
def test_an_incomplete_invoice_is_refused_with_what_it_lacks(db, celery_eager, invoice, missing):
    invoice = InvoiceFactory(**invoice)
    with pytest.raises(IncompleteInvoice, match=f"{missing}$"):
        validate_invoice.delay(invoice.id)


def test_the_same_in_the_worker(db, task_queue, mailoutbox):
    draft = InvoiceFactory()
    sending = send_invoice_email.delay(draft.id)
    assert not mailoutbox  # it waits in its queue, as in production
    task_queue.run()
    assert sending.get(timeout=5) == draft.id
    assert len(mailoutbox) == 1


def test_what_can_never_be_sent_is_marked_failed(db, task_queue, mailoutbox):
    invoice = InvoiceFactory(customer_email="", status=Invoice.Status.QUEUED)
    send_invoice_email.delay(invoice.id)
    with pytest.raises(IncompleteInvoice):
        task_queue.run()
    invoice.refresh_from_db()
    assert invoice.status == Invoice.Status.FAILED
    assert not mailoutbox
