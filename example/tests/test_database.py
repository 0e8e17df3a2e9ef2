"""The article's "Channels + database from async".

`db_async` puts the test, its consumers and every thread on one connection, inside the test's own transaction.
"""

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from chat.consumers import ChatConsumer
from chat.models import Message

from tests.factories import UserFactory


@database_sync_to_async
def _count_messages(room):
    return Message.objects.filter(room=room).count()


@pytest.mark.asyncio
async def test_message_is_persisted(db_async):
    comm = WebsocketCommunicator(ChatConsumer.as_asgi(), path="/ws/chat/room-42/")
    comm.scope["url_route"] = {"kwargs": {"room": "room-42"}}
    comm.scope["user"] = await UserFactory.acreate()
    await comm.connect()
    await comm.send_json_to({"text": "hello"})
    await comm.receive_json_from(timeout=2)
    assert await _count_messages("room-42") == 1
    await comm.disconnect()
