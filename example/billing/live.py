"""What the browser hears about invoices."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer


def invoice_group(invoice_id: int) -> str:
    # The dot keeps it apart from the chat's groups: a room's name has none.
    return f"invoice.{invoice_id}"


def announce(invoice_id: int, status: str) -> None:
    layer = get_channel_layer()
    async_to_sync(layer.group_send)(invoice_group(invoice_id), {"type": "invoice.status", "status": str(status)})
