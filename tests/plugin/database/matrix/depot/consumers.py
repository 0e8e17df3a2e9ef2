import threading

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.db import transaction

from .models import Item


def count():
    return Item.objects.count()


class AsyncDepot(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        how = content["how"]
        if how == "orm":
            await Item.objects.acreate(name=content["name"])
        elif how == "channels":
            await database_sync_to_async(Item.objects.create)(name=content["name"])
        elif how == "insensitive":
            await sync_to_async(Item.objects.create, thread_sensitive=False)(name=content["name"])
        elif how == "thread":
            thread = threading.Thread(target=Item.objects.create, kwargs={"name": content["name"]})
            thread.start()
            await sync_to_async(thread.join, thread_sensitive=False)()
        await self.send_json({"count": await database_sync_to_async(count)()})


class SyncDepot(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        with transaction.atomic():
            Item.objects.create(name=content["name"])
            transaction.on_commit(lambda: self.send_json({"count": count()}))
