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

    newest_seen = 0

    @property
    def room(self):
        return self.scope["url_route"]["kwargs"]["room"]

    async def websocket_connect(self, message):
        # Channels joins these groups before connect() runs, and leaves them when the socket has closed.
        self.groups.append(self.room)
        await super().websocket_connect(message)

    async def connect(self):
        await super().connect()
        await self.send_history()

    async def receive(self, text_data=None, bytes_data=None, **kwargs):
        # A binary or empty frame is no message either; Channels would end the connection.
        await self.receive_json(await self.decode_json(text_data or ""))

    @classmethod
    async def decode_json(cls, text_data):
        try:
            return json.loads(text_data)
        except ValueError:
            return None

    async def receive_json(self, content, **kwargs):
        if error := self.refusal(content):
            await self.send_json({"error": error})
        else:
            event = await self.keep(content["text"].strip())
            await self.channel_layer.group_send(self.room, event)

    def refusal(self, content):
        """Why this can't be taken from this user, or None."""
        text = content.get("text") if isinstance(content, dict) else None
        if not self.scope["user"].is_authenticated:
            return "Sign in to write."
        if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST:
            return f"A message is a text of 1 to {LONGEST} characters."
        return None

    @database_sync_to_async
    def keep(self, text):
        """Store the message; gives the event that tells the room of it."""
        author = self.scope["user"]
        message = author.messages.create(room=self.room, text=text)
        return {"type": "chat.message", "id": message.id, "text": text, "author": author.get_username()}

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
