"""The pages, as a person meets them."""

from billing.models import Invoice
from django.test import Client

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


def test_a_broken_page_is_friendly_too(client, db, monkeypatch):
    """Django makes this page without context processors, and the database may be what broke."""
    monkeypatch.setattr(Invoice, "objects", None)
    client.raise_request_exception = False
    response = client.get("/invoices/")
    text = response.content.decode()
    assert response.status_code == 500
    assert "<title>Something broke · Example</title>" in text
    assert "<h1>Something broke</h1>" in text
    assert "It is our mistake" in text


def test_an_old_form_is_explained(db):
    client = Client(enforce_csrf_checks=True)
    response = client.post(f"/invoices/{InvoiceFactory().id}/email/")
    assert response.status_code == 403
    assert "<h1>That form is too old</h1>" in response.content.decode()


def test_rooms(client, db):
    assert "No rooms yet" in page(client, "/chat/")
    MessageFactory(room="lobby")
    assert 'href="/chat/lobby/"' in page(client, "/chat/")
    assert client.get("/chat/", {"room": "new-room"}).headers["Location"] == "/chat/new-room/"
    assert "at most 80" in page(client, "/chat/?room=two words")
