"""The pages, as a person meets them."""

from billing.models import Invoice

from tests.factories import InvoiceFactory, MessageFactory


def page(client, path, status=200):
    response = client.get(path, follow=True)
    assert response.status_code == status
    return response.content.decode()


def test_no_invoices_yet(client, db):
    assert "No invoices yet" in page(client, "/")


def test_each_invoice_has_its_total_and_status(client, db):
    invoice = InvoiceFactory(customer_name="Miller & Sons")
    text = page(client, "/invoices/")
    assert "Miller &amp; Sons" in text
    assert "190.00" in text
    assert f'data-invoice="{invoice.id}" data-status="draft">Draft<' in text


def test_an_invoice_that_cannot_be_sent_says_why(client, db):
    invoice = InvoiceFactory(customer_email="", line=None, status=Invoice.Status.FAILED)
    text = page(client, f"/invoices/{invoice.id}/")
    assert "No e-mail address" in text
    assert "No lines" in text
    assert "Try again" in text


def test_the_pdf(client, db):
    response = client.get(f"/invoices/{InvoiceFactory().id}/pdf/")
    assert response.headers["Content-Type"] == "application/pdf"
    assert response.content.startswith(b"%PDF-")


def test_unknown_pages_are_friendly(client, db):
    assert "There is no such page" in page(client, "/invoices/999/", status=404)
    assert "There is no such page" in page(client, "/nowhere/", status=404)


def test_rooms(client, db):
    assert "No rooms yet" in page(client, "/chat/")
    MessageFactory(room="lobby")
    assert 'href="/chat/lobby/"' in page(client, "/chat/")
    assert client.get("/chat/", {"room": "new-room"}).headers["Location"] == "/chat/new-room/"
    assert "at most 80" in page(client, "/chat/?room=two words")
