"""The article's "Mocking the call site": does the view enqueue the right task?

`patch` answers for one task whose place is known. `task_queue` answers for all that was enqueued, compares arguments
as the task's own signature does, and sees whether the transaction was committed before.
"""

from datetime import timedelta
from html import unescape
from unittest.mock import patch

from billing.models import Invoice
from billing.tasks import requeue_stuck_invoices, send_invoice, send_invoice_email, validate_invoice
from django.utils import timezone

from tests.factories import InvoiceFactory


def test_view_enqueues_invoice_email(client, db):
    invoice = InvoiceFactory()
    with patch("billing.tasks.send_invoice_email.delay") as mock_delay:
        client.post(f"/invoices/{invoice.id}/email/")
    mock_delay.assert_called_once_with(invoice.id)


def test_an_invoice_that_was_sent_is_not_enqueued_again(client, db):
    invoice = InvoiceFactory(status=Invoice.Status.SENT)
    with patch("billing.tasks.send_invoice_email.delay") as mock_delay:
        response = client.post(f"/invoices/{invoice.id}/email/", follow=True)
    mock_delay.assert_not_called()
    assert "is sent already" in response.text


def test_view_enqueues_with_task_queue(client, db, task_queue):
    invoice = InvoiceFactory()
    client.post(f"/invoices/{invoice.id}/email/")
    task = task_queue.assert_enqueued(send_invoice_email.s(invoice.id))  # a signature is the expectation
    assert task.queue == "mail"
    assert not task.in_transaction
    invoice.refresh_from_db()
    assert invoice.status == Invoice.Status.QUEUED


def test_all_drafts_go_as_workflows(client, db, task_queue):
    drafts = [InvoiceFactory(), InvoiceFactory()]
    sent = InvoiceFactory(status=Invoice.Status.SENT)
    client.post("/invoices/email/")
    for invoice in drafts:
        task_queue.assert_enqueued(send_invoice(invoice.id))  # so is a whole chain
    task_queue.assert_not_enqueued(validate_invoice.s(sent.id))


def test_a_broker_that_refuses_is_told_to_the_user(client, db, task_queue):
    invoice = InvoiceFactory()
    task_queue.refuse_publish()
    response = client.post(f"/invoices/{invoice.id}/email/", follow=True)
    assert "The queue can't be reached now" in unescape(response.text)
    task_queue.assert_empty()


def test_what_the_broker_lost_is_enqueued_again(db, task_queue):
    stuck = InvoiceFactory(status=Invoice.Status.QUEUED, queued_at=timezone.now() - timedelta(minutes=20))
    InvoiceFactory(status=Invoice.Status.QUEUED, queued_at=timezone.now())  # on its way still
    requeue_stuck_invoices.delay()
    task_queue.run_one()
    task_queue.assert_enqueued(send_invoice_email.s(stuck.id), count=1)
    assert len(task_queue) == 1
