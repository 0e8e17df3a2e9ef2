"""Can a browser reach it, and another site's page not? All goes through the application that the server serves."""

from urllib.parse import quote

import pytest
from channels.testing import WebsocketCommunicator
from config.asgi import application

from pytest_backchannel.errors import WebSocketRejected
from tests.factories import InvoiceFactory, UserFactory


async def test_a_room_has_a_route_and_no_room_has_none(db_async):
    lobby, nowhere = (WebsocketCommunicator(application, path) for path in ("/ws/chat/lobby/", "/ws/chat/"))
    assert await lobby.connect(timeout=2) == (True, None)
    await lobby.disconnect()
    with pytest.raises(ValueError, match="No route found"):
        await nowhere.connect(timeout=2)


@pytest.mark.parametrize("room", ["two words", "käse", "a:b", "x" * 81], ids=["words", "umlaut", "colon", "long"])
async def test_a_name_that_no_group_can_have_is_no_room(db_async, websocket, room):
    with pytest.raises(ValueError, match="No route found"):
        async with websocket(f"/ws/chat/{quote(room)}/"):
            pass


async def test_every_route_with_websocket(db_async, websocket):
    invoice = await InvoiceFactory.acreate()
    user = await UserFactory.acreate()
    for path in ("/ws/chat/room-42/", f"/ws/invoices/{invoice.id}/"):
        async with websocket(path, user=user) as client:  # with what a real server puts into the scope
            assert await client.receive_nothing()


@pytest.mark.parametrize("path", ["/ws/chat/room-42/", "/ws/invoices/7/"])
async def test_another_sites_page_is_refused(db_async, websocket, path):
    await InvoiceFactory.acreate(id=7)
    with pytest.raises(WebSocketRejected):
        async with websocket(path, user=await UserFactory.acreate(), origin="https://evil.example"):
            pass


async def test_our_own_pages_are_welcome(db_async, websocket):
    async with websocket("/ws/chat/room-42/", origin="http://testserver"):
        pass


async def test_invoices_are_for_who_is_signed_in(db_async, websocket):
    await InvoiceFactory.acreate(id=7)
    with pytest.raises(WebSocketRejected):
        async with websocket("/ws/invoices/7/"):
            pass


async def test_an_invoice_that_does_not_exist_is_refused(db_async, websocket):
    with pytest.raises(WebSocketRejected):
        async with websocket("/ws/invoices/7/", user=await UserFactory.acreate()):
            pass


async def test_who_may_connect_where(db_async, websocket_matrix):
    """Every route there is, also the one that is added next year."""
    invoice = await InvoiceFactory.acreate()
    real = {"room": "room-42", "invoice_id": invoice.id}
    matrix = await websocket_matrix(await UserFactory.acreate(), url_kwargs=real)
    matrix.assert_open_to(anonymous=["/ws/chat/<room:room>/"])
