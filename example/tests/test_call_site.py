"""The article's "Mocking the call site": does the view enqueue the right task?

`patch` answers for one task whose place is known. `task_queue` answers for all that was enqueued, compares arguments
as the task's own signature does, and sees whether the transaction was committed before.
"""

from unittest.mock import patch

from billing.models import Invoice

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
