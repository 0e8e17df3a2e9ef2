"""Who may do what: with signing in put back, as it is deployed."""

import pytest
from billing.models import Invoice
from config.settings import base

from tests.factories import InvoiceFactory, UserFactory


@pytest.fixture
def deployed(settings):
    settings.MIDDLEWARE = base.MIDDLEWARE


@pytest.mark.parametrize("path", ["/invoices/", "/invoices/7/", "/invoices/7/pdf/"])
def test_invoices_are_for_who_is_signed_in(client, db, deployed, path):
    InvoiceFactory(id=7)
    assert client.get(path).headers["Location"] == f"/sign-in/?next={path}"
    client.force_login(UserFactory())
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/invoices/7/email/", "/invoices/email/"])
def test_nobody_else_sends_invoices(client, db, deployed, mailoutbox, path):
    invoice = InvoiceFactory(id=7)
    assert client.post(path).headers["Location"] == f"/sign-in/?next={path}"
    invoice.refresh_from_db()
    assert invoice.status == Invoice.Status.DRAFT
    assert not mailoutbox


@pytest.mark.parametrize("path", ["/chat/", "/chat/room-42/", "/sign-in/"])
def test_the_chat_is_open_to_readers(client, db, deployed, path):
    assert client.get(path).status_code == 200


def test_sign_in(client, db, deployed):
    user = UserFactory(username="grace")
    user.set_password("right")
    user.save()
    wrong = client.post("/sign-in/", {"username": "grace", "password": "wrong"})
    assert "don't go together" in wrong.content.decode()
    right = client.post("/sign-in/", {"username": "grace", "password": "right"})
    assert right.headers["Location"] == "/invoices/"
