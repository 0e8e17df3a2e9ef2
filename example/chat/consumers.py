import json

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from .models import Message

HISTORY = 50
LONGEST = Message._meta.get_field("text").max_length


class ChatConsumer(AsyncJsonWebsocketConsumer):
    """A chat room. Anyone may read along; who is signed in may write.

    In: {"text": "hello"}. Out: {"text": "hello"} to who wrote it, with "author" beside it to everybody else (null if
    the system speaks); {"history": [...]} first, if the room has any; {"error": "..."} for what can't be taken.
    """

    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.newest_seen = 0
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send_history()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    @classmethod
    async def decode_json(cls, text_data):
        try:
            return json.loads(text_data)
        except ValueError:
            return None

    async def receive_json(self, content, **kwargs):
        text = content.get("text") if isinstance(content, dict) else None
        if not self.scope["user"].is_authenticated:
            await self.send_json({"error": "Sign in to write."})
        elif not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST:
            await self.send_json({"error": f"A message is a text of 1 to {LONGEST} characters."})
        else:
            message = await database_sync_to_async(Message.objects.create)(
                room=self.room, text=text.strip(), user_id=self.scope["user"].id
            )
            await self.channel_layer.group_send(
                self.room,
                {
                    "type": "chat.message",
                    "id": message.id,
                    "text": message.text,
                    "author": self.scope["user"].get_username(),
                },
            )

    async def chat_message(self, event):
        if event.get("id") and event["id"] <= self.newest_seen:
            return  # it came while the history was read, which has it
        await self.send_json(self.frame(event["text"], event.get("author")))

    async def send_history(self):
        newest = Message.objects.filter(room=self.room).select_related("user").order_by("-id")[:HISTORY]
        messages = [message async for message in newest]
        if messages:
            self.newest_seen = messages[0].id
            frames = [self.frame(message.text, message.user.get_username()) for message in reversed(messages)]
            await self.send_json({"history": frames})

    def frame(self, text, author):
        own = self.scope["user"].is_authenticated and author == self.scope["user"].get_username()
        return {"text": text} if own else {"text": text, "author": author}
