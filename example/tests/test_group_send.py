"""The article's "Testing group sends without a browser"."""

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from config.asgi import application


@pytest.mark.asyncio
async def test_external_broadcast_reaches_client(db_async):
    comm = WebsocketCommunicator(application, "/ws/chat/room-42/")
    connected, _ = await comm.connect()
    assert connected

    # Simulate something outside the consumer (a Celery task, a signal) firing
    # a group_send. We use the same channel layer the consumer subscribed to.
    layer = get_channel_layer()
    await layer.group_send(
        "room-42",
        {"type": "chat.message", "text": "system: server restarting in 30s"},
    )

    reply = await comm.receive_json_from(timeout=2)
    assert reply["text"].startswith("system:")
    await comm.disconnect()
