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


async def test_the_test_sees_it_without_a_detour(db_async, websocket):
    user = await UserFactory.acreate()
    async with websocket("/ws/chat/room-42/", user=user) as client:
        await client.send_json({"text": "hello"})
        await client.receive_json()
    message = await Message.objects.select_related("user").aget()
    assert (message.room, message.text, message.user) == ("room-42", "hello", user)


async def test_and_the_next_test_sees_nothing_of_it(db_async):
    assert not await Message.objects.aexists()
