"""What the task decides when the mail server says "later", and what comes of it.

Eager mode shows the decision once. `task_queue` runs every attempt, ten virtual seconds apart, in no real time.
"""

import smtplib
from unittest.mock import patch

import pytest
from billing.mail import TransientSMTPError, deliver
from billing.models import EmailLog, Invoice
from billing.tasks import (
    generate_pdf,
    requeue_stuck_invoices,
    send_invoice_email,
    total_invoice,
    total_month,
    validate_invoice,
)
from celery.exceptions import Retry
from django.core.mail import EmailMessage

from tests.factories import InvoiceFactory


def test_a_busy_mail_server_is_asked_again_in_ten_seconds(db, celery_eager):
    unsent, busy = InvoiceFactory(), TransientSMTPError("450 mailbox busy")
    with patch.object(EmailLog, "send", side_effect=busy), pytest.raises(Retry) as decision:
        send_invoice_email.delay(unsent.id)
    assert (decision.value.exc, decision.value.when) == (busy, 10)
    assert Invoice.objects.filter(id=unsent.id, emailed_at=None).exists()


@pytest.mark.parametrize(
    "error",
    [
        smtplib.SMTPResponseException(451, "greylisted"),
        smtplib.SMTPServerDisconnected("gone"),
        smtplib.SMTPRecipientsRefused({"a@example.com": (450, b"busy")}),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_transient(error):
    with patch.object(EmailMessage, "send", side_effect=error), pytest.raises(TransientSMTPError):
        deliver(EmailMessage())


@pytest.mark.parametrize(
    "error",
    [
        smtplib.SMTPResponseException(550, "no such mailbox"),
        smtplib.SMTPRecipientsRefused({"a@example.com": (550, b"no such mailbox")}),
    ],
    ids=repr,
)
def test_permanent(error):
    with patch.object(EmailMessage, "send", side_effect=error), pytest.raises(type(error)):
        deliver(EmailMessage())


def test_a_mail_server_that_is_back_after_two_attempts(db, task_queue):
    invoice = InvoiceFactory()
    busy = smtplib.SMTPServerDisconnected("busy")
    with patch.object(EmailMessage, "send", side_effect=[busy, busy, 1]):
        send_invoice_email.delay(invoice.id)
        task_queue.run_until_idle()  # 20 virtual seconds, no real one
    assert [retry.countdown for retry in task_queue.retries] == [10, 10]
    invoice.refresh_from_db()
    assert invoice.status == Invoice.Status.SENT


def test_the_fourth_failure_is_the_last(db, task_queue):
    invoice = InvoiceFactory(status=Invoice.Status.QUEUED)
    with patch.object(EmailMessage, "send", side_effect=TimeoutError):
        send_invoice_email.delay(invoice.id)
        with pytest.raises(TransientSMTPError):
            task_queue.run_until_idle()
    assert len(task_queue.retries) == 3
    invoice.refresh_from_db()
    assert (invoice.status, invoice.emailed_at) == (Invoice.Status.FAILED, None)


def test_a_worker_killed_after_sending_does_not_send_twice(db, task_queue, mailoutbox):
    invoice = InvoiceFactory()
    task_queue.kill_worker(when="after_body")
    send_invoice_email.delay(invoice.id)
    # acks_late: when the visibility timeout is over, an hour later, the message is delivered again; the task sees then
    # that the invoice was sent.
    task_queue.run_until_idle()
    assert len(task_queue.succeeded) == 1
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("when", ["before_body", "after_body"])
@pytest.mark.parametrize(
    ("task", "about_one_invoice"),
    [
        (validate_invoice, True),
        (generate_pdf, True),
        (send_invoice_email, True),
        (total_invoice, True),
        (total_month, False),
        (requeue_stuck_invoices, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_no_task_is_lost_with_its_worker(db, task_queue, mailoutbox, task, about_one_invoice, when):
    invoice = InvoiceFactory(status=Invoice.Status.QUEUED)
    task_queue.kill_worker(when=when, task=task)
    result = task.delay(*[invoice.id] if about_one_invoice else [])
    task_queue.run_until_idle()
    assert result.successful()
    assert len(mailoutbox) <= 1
