"""Does the view enqueue the right task? What the task does is another module's question.

`patch` answers for one task whose place is known. `task_queue` answers for all that was enqueued, compares arguments
as the task's own signature does, and sees whether the transaction was committed before.
"""

from datetime import timedelta
from html import unescape
from unittest.mock import call, patch

import pytest
from billing.models import Invoice
from billing.tasks import requeue_stuck_invoices, send_invoice, send_invoice_email, validate_invoice
from django.utils import timezone

from tests.factories import InvoiceFactory


def click_send(client, invoice):
    """Send one invoice from its page; gives the page that comes then."""
    return client.post(f"/invoices/{invoice.pk}/email/", follow=True)


@pytest.fixture
def delay():
    with patch("billing.tasks.send_invoice_email.delay") as delay:
        yield delay


def test_a_click_enqueues_the_email_once(client, db, delay):
    draft = InvoiceFactory()
    click_send(client, draft)
    click_send(client, draft)  # the page was slow, and someone impatient
    assert delay.mock_calls == [call(draft.pk)]


def test_an_invoice_that_was_sent_is_not_enqueued_again(client, db, delay):
    assert "is sent already" in click_send(client, InvoiceFactory(status=Invoice.Status.SENT)).text
    assert not delay.called


def test_what_was_enqueued_is_the_call_and_where_it_goes(client, db, task_queue):
    invoice = InvoiceFactory()
    click_send(client, invoice)
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
        task_queue.assert_enqueued(send_invoice(invoice.id), count=1)  # so is a whole chain
    task_queue.assert_not_enqueued(validate_invoice.s(sent.id))
    assert len(task_queue) == 2  # and nothing else waits


def test_a_broker_that_refuses_is_told_to_the_user(client, db, task_queue):
    invoice = InvoiceFactory()
    task_queue.refuse_publish()
    assert "The queue can't be reached now" in unescape(click_send(client, invoice).text)
    task_queue.assert_empty()


def test_what_the_broker_lost_is_enqueued_again(db, task_queue):
    stuck = InvoiceFactory(status=Invoice.Status.QUEUED, queued_at=timezone.now() - timedelta(minutes=20))
    InvoiceFactory(status=Invoice.Status.QUEUED, queued_at=timezone.now())  # on its way still
    requeue_stuck_invoices.delay()
    task_queue.run_one()
    task_queue.assert_enqueued(send_invoice_email.s(stuck.id), count=1)
    assert len(task_queue) == 1
