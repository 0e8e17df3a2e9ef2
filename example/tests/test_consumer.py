"""Does the consumer say the right thing? It is driven alone here, without the router and the middleware before it.

Channels' communicator does that. So does `websocket`: without a timeout to choose, with the consumer's own error when
it breaks, and with an exact answer to "does nothing come?".
"""

import pytest
from channels.testing import WebsocketCommunicator
from chat.consumers import ChatConsumer
from chat.models import Message

from tests.factories import MessageFactory, UserFactory


async def test_who_writes_gets_the_message_back(db_async):
    writer = WebsocketCommunicator(ChatConsumer.as_asgi(), "/ws/chat/room-42/")
    writer.scope |= {"user": await UserFactory.acreate(), "url_route": {"kwargs": {"room": "room-42"}}}
    accepted, _ = await writer.connect(timeout=2)
    await writer.send_json_to({"text": "Is it on?"})
    answer = await writer.receive_json_from(timeout=2)
    await writer.disconnect()
    assert (accepted, answer) == (True, {"text": "Is it on?"})


def chat(websocket, **options):
    return websocket(ChatConsumer, path="/ws/chat/room-42/", url_kwargs={"room": "room-42"}, **options)


async def test_the_same_with_websocket_and_nothing_follows(db_async, websocket):
    async with chat(websocket, user=await UserFactory.acreate()) as client:
        await client.send_json({"text": "hello"})
        assert await client.receive_json() == {"text": "hello"}
        assert await client.receive_nothing()  # exact, and at once


async def test_others_see_who_wrote(db_async, websocket):
    ada, grace = await UserFactory.acreate(username="ada"), await UserFactory.acreate(username="grace")
    async with chat(websocket, user=ada) as writer, chat(websocket, user=grace) as reader:
        await writer.send_json({"text": "hello"})
        assert await reader.receive_json() == {"text": "hello", "author": "ada"}


async def test_who_joins_gets_the_history(db_async, websocket):
    first = await MessageFactory.acreate(text="first", user__username="ada")
    await MessageFactory.acreate(text="second", user=first.user)
    await MessageFactory.acreate(room="another-room")
    async with chat(websocket) as client:
        assert await client.receive_json() == {
            "history": [{"text": "first", "author": "ada"}, {"text": "second", "author": "ada"}]
        }
        assert await client.receive_nothing()


async def test_a_message_of_the_history_is_not_sent_again(db_async, websocket, channel_layer):
    """It may come over the layer while the history is read."""
    message = await MessageFactory.acreate()
    async with chat(websocket) as client:
        await client.receive_json()
        await channel_layer.group_send(
            "room-42", {"type": "chat.message", "id": message.id, "text": "hello", "author": "ada"}
        )
        assert await client.receive_nothing()


async def test_who_is_not_signed_in_reads_along(db_async, websocket):
    async with chat(websocket) as client:
        await client.send_json({"text": "hello"})
        assert await client.receive_json() == {"error": "Sign in to write."}
    assert not await Message.objects.aexists()


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", "{}", '{"text": 1}', '{"text": "  "}', '{"text": "%s"}' % ("x" * 1001)]
)
async def test_what_is_no_message_gets_an_answer(db_async, websocket, text):
    async with chat(websocket, user=await UserFactory.acreate()) as client:
        await client.send_text(text)
        assert await client.receive_json() == {"error": "A message is a text of 1 to 1000 characters."}
