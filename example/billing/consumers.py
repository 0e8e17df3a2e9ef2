from urllib.parse import parse_qs

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from .live import invoice_group
from .models import Invoice


class InvoiceStatusConsumer(AsyncJsonWebsocketConsumer):
    """Tells a page that shows an invoice about each change of its status, as {"status": "sent"}.

    The page says what it shows, as ?shown=queued: if the invoice has moved on since, the page hears of it at once.
    """

    async def connect(self):
        self.group = invoice_group(self.scope["url_route"]["kwargs"]["invoice_id"])
        if not self.scope["user"].is_authenticated:
            await self.close()  # before accept(): the server answers the handshake with HTTP 403
            return
        # First the group, then the question: a change in between is told twice rather than never.
        await self.channel_layer.group_add(self.group, self.channel_name)
        invoice = await Invoice.objects.filter(pk=self.scope["url_route"]["kwargs"]["invoice_id"]).afirst()
        if invoice is None:
            await self.close()
            return
        await self.accept()
        shown = parse_qs(self.scope["query_string"].decode()).get("shown")
        if shown and shown != [invoice.status]:
            await self.send_json({"status": invoice.status})

    async def receive(self, text_data=None, bytes_data=None, **kwargs):
        """The page only listens: what else a client sends is let go, whatever it is."""

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def invoice_status(self, event):
        await self.send_json({"status": event["status"]})
