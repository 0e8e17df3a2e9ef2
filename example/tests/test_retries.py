"""The article's "Retries": what the task decides when the mail server says "later".

Eager mode shows the decision once. `task_queue` runs every attempt, ten virtual seconds apart, in no real time.
"""

import smtplib
from unittest.mock import patch

import pytest
from billing.mail import TransientSMTPError, deliver
from billing.tasks import send_invoice_email
from celery.exceptions import Retry
from django.core.mail import EmailMessage

from tests.factories import InvoiceFactory


def test_send_invoice_email_retries_on_transient_smtp(db, celery_eager):
    invoice = InvoiceFactory()
    with patch("billing.tasks.EmailLog.send", side_effect=TransientSMTPError), pytest.raises(Retry):
        send_invoice_email.delay(invoice.id).get()
    invoice.refresh_from_db()
    assert invoice.emailed_at is None  # didn't mark prematurely


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
