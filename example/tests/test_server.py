"""A real server on a port, in the test's own transaction: what only a real handshake can show."""

import json

import pytest
from billing.models import Invoice
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.factories import InvoiceFactory, UserFactory


def signed_in(client):
    """The headers of a browser where someone has signed in."""
    client.force_login(UserFactory())
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


def test_a_browser_with_a_session_hears_of_its_invoice(asgi_server, db, client):
    invoice = InvoiceFactory()
    url = f"{asgi_server.ws_url}/ws/invoices/{invoice.id}/?shown=draft"
    with connect(url, additional_headers=signed_in(client), origin=asgi_server.url) as browser:
        invoice.mark_emailed()
        assert json.loads(browser.recv(timeout=5)) == {"status": Invoice.Status.SENT}


@pytest.mark.parametrize("origin", ["https://evil.example", None])
def test_a_refusal_is_http_403(asgi_server, db, origin):
    """The origin of another site, or nobody signed in."""
    invoice = InvoiceFactory()
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{asgi_server.ws_url}/ws/invoices/{invoice.id}/", origin=origin)
    assert refused.value.response.status_code == 403
