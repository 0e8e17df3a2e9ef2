"""Does what a task or a signal handler says reach the browser?"""

from billing.live import invoice_group
from billing.models import Invoice
from billing.tasks import send_invoice_email
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from config.asgi import application

from tests.factories import InvoiceFactory, UserFactory


async def test_a_room_hears_what_is_sent_from_outside(db_async):
    reader = WebsocketCommunicator(application, "/ws/chat/lobby/")
    await reader.connect(timeout=2)
    await get_channel_layer().group_send("lobby", {"type": "chat.message", "text": "We close at noon."})
    assert await reader.receive_json_from(timeout=2) == {"text": "We close at noon.", "author": None}
    await reader.disconnect()


async def test_with_websocket_and_channel_layer(db_async, websocket, channel_layer):
    async with websocket("/ws/chat/room-42/") as client:
        assert len(channel_layer.members("room-42")) == 1
        await channel_layer.group_send("room-42", {"type": "chat.message", "text": "Back at one."})
        assert await client.receive_json() == {"text": "Back at one.", "author": None}


async def test_the_email_reaches_the_browser(db_async, async_client, task_queue, websocket):
    """All of it: view, commit, message, worker, task, group send, consumer, frame."""
    invoice = await InvoiceFactory.acreate()
    async with websocket(f"/ws/invoices/{invoice.id}/", user=await UserFactory.acreate()) as browser:
        await async_client.post(f"/invoices/{invoice.id}/email/")
        await task_queue.arun()
        assert await browser.receive_json() == {"status": "sent"}


async def test_a_page_that_is_behind_hears_of_it_at_once(db_async, websocket):
    invoice = await InvoiceFactory.acreate(status="sent")
    async with websocket(f"/ws/invoices/{invoice.id}/?shown=queued", user=await UserFactory.acreate()) as browser:
        assert await browser.receive_json() == {"status": "sent"}
    async with websocket(f"/ws/invoices/{invoice.id}/?shown=sent", user=await UserFactory.acreate()) as browser:
        assert await browser.receive_nothing()


async def test_what_comes_in_a_burst_comes_in_order(db_async, websocket, channel_layer):
    texts = ["We close", "at noon", "today."]
    async with websocket("/ws/chat/room-42/") as client:
        for text in texts:
            await channel_layer.group_send("room-42", {"type": "chat.message", "text": text})
        assert [(await client.receive_json())["text"] for _ in texts] == texts
        assert await client.receive_nothing()


async def test_who_has_left_is_sent_nothing_more(db_async, websocket, channel_layer):
    invoice = await InvoiceFactory.acreate()
    user = await UserFactory.acreate()
    for path, group in (("/ws/chat/room-42/", "room-42"), (f"/ws/invoices/{invoice.id}/", invoice_group(invoice.id))):
        async with websocket(path, user=user):
            assert len(channel_layer.members(group)) == 1
        assert channel_layer.members(group) == []


def test_a_layer_that_is_away_stops_no_mail(db, task_queue, channel_layer, mailoutbox):
    """Who looks at the page sees it when the page is loaded again."""
    invoice = InvoiceFactory(status=Invoice.Status.QUEUED)
    send_invoice_email.delay(invoice.id)
    channel_layer.refuse()
    task_queue.run()
    invoice.refresh_from_db()
    assert (invoice.status, len(mailoutbox)) == (Invoice.Status.SENT, 1)
