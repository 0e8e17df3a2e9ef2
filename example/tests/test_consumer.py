"""The article's "Testing Channels consumers": one consumer, alone, as a state machine.

`websocket` drives it too: without a timeout to choose, with the consumer's own error when it breaks, and with an exact
answer to "does nothing come?".
"""

import pytest
from channels.testing import WebsocketCommunicator
from chat.consumers import ChatConsumer

from tests.factories import UserFactory


@pytest.mark.asyncio
async def test_chat_message_round_trip(db_async):
    user = await UserFactory.acreate()
    comm = WebsocketCommunicator(
        ChatConsumer.as_asgi(),
        path="/ws/chat/room-42/",
    )
    comm.scope["url_route"] = {"kwargs": {"room": "room-42"}}
    comm.scope["user"] = user

    connected, _ = await comm.connect()
    assert connected

    await comm.send_json_to({"text": "hello"})
    reply = await comm.receive_json_from(timeout=2)
    assert reply == {"text": "hello"}

    await comm.disconnect()
