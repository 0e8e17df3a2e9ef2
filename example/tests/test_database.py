"""Is it in the database, and gone after the test?

`db_async` puts the test, its consumers and every thread on one connection, inside the test's own transaction.
"""

from channels.db import database_sync_to_async
from chat.consumers import ChatConsumer
from chat.models import Message

from tests.factories import UserFactory


@database_sync_to_async
def said():
    """What the rooms have heard: asked in a thread, as the synchronous ORM wants it."""
    return list(Message.objects.values_list("room", "text"))


async def test_what_is_said_in_a_room_is_kept(db_async, websocket):
    user = await UserFactory.acreate()
    async with websocket(ChatConsumer, url_kwargs={"room": "room-42"}, user=user) as client:
        for text in ("hello", "anybody?"):
            await client.send_json({"text": text})
            await client.receive_json()
    assert await said() == [("room-42", "hello"), ("room-42", "anybody?")]


async def test_the_test_sees_it_without_a_detour(db_async, websocket):
    user = await UserFactory.acreate()
    async with websocket("/ws/chat/room-42/", user=user) as client:
        await client.send_json({"text": "hello"})
        await client.receive_json()
    message = await Message.objects.select_related("user").aget()
    assert (message.room, message.text, message.user) == ("room-42", "hello", user)


async def test_and_the_next_test_sees_nothing_of_it(db_async):
    assert not await Message.objects.aexists()
