"""The article's "Testing Channels routing": the real ASGI application, from the origin check to the consumer."""

import pytest
from channels.testing import WebsocketCommunicator
from config.asgi import application


@pytest.mark.asyncio
async def test_chat_route_reachable(db_async):
    comm = WebsocketCommunicator(application, "/ws/chat/room-42/")
    connected, _ = await comm.connect()
    assert connected
    await comm.disconnect()
