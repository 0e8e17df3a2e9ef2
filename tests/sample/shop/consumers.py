from channels.generic.websocket import AsyncJsonWebsocketConsumer


class EchoConsumer(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


class RoomConsumer(AsyncJsonWebsocketConsumer):
    """Says what is sent to it in the room of its path, to everybody there."""

    @property
    def group(self):
        return self.scope["url_route"]["kwargs"]["room"]

    async def connect(self):
        await self.channel_layer.group_add(self.group, self.channel_name)
        await super().connect()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive_json(self, content, **kwargs):
        said = {"type": "room.message", "text": content["text"]}
        await self.channel_layer.group_send(self.group, said)

    async def room_message(self, event):
        said = event["text"]
        await self.send_json({"text": said})
