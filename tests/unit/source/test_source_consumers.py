"""Which classes are consumers, and which of their methods are handlers."""

from __future__ import annotations

import pytest

ASYNC = "from channels.generic.websocket import AsyncJsonWebsocketConsumer\n"


def handlers(index, name="chat.consumers.Chat"):
    return [(one.name, one.sent) for one in index.consumers[name].handlers]


@pytest.mark.parametrize(
    ("base", "protocol", "is_async", "is_json"),
    [
        ("channels.generic.websocket.AsyncJsonWebsocketConsumer", "websocket", True, True),
        ("channels.generic.websocket.AsyncWebsocketConsumer", "websocket", True, False),
        ("channels.generic.websocket.JsonWebsocketConsumer", "websocket", False, True),
        ("channels.generic.websocket.WebsocketConsumer", "websocket", False, False),
        ("channels.generic.http.AsyncHttpConsumer", "http", True, False),
        ("channels.consumer.SyncConsumer", "channel", False, False),
        ("djangochannelsrestframework.generics.GenericAsyncAPIConsumer", "websocket", True, True),
    ],
)
def test_a_consumer_is_of_the_kind_of_its_generic_class(read, base, protocol, is_async, is_json):
    module, _, name = base.rpartition(".")
    index = read(chat__consumers=f"from {module} import {name}\nclass Chat({name}): ...")
    (found,) = index.consumers.values()
    assert (found.key, found.name, found.generic) == ("consumer:chat.consumers.Chat", "chat.consumers.Chat", base)
    assert (found.protocol, found.is_async, found.is_json) == (protocol, is_async, is_json)


def test_a_consumer_may_derive_through_other_classes_of_the_tree(read):
    index = read(
        lib__base=ASYNC
        + """
class Base(AsyncJsonWebsocketConsumer):
    async def notice(self, event): ...
""",
        lib__mixins="class Tidy:\n    async def tidy_up(self, event): ...",
        chat__consumers="""
        from lib.base import Base
        from lib import mixins
        class Chat(mixins.Tidy, Base):
            async def chat_message(self, event): ...
        """,
        chat__routing="""
        from django.urls import path
        from .consumers import Chat
        routes = [path("ws/", Chat.as_asgi())]
        """,
    )
    assert handlers(index) == [("notice", False), ("tidy_up", False), ("chat_message", False)]
    assert [(one.name, one.abstract) for one in index.consumers.values()] == [
        ("chat.consumers.Chat", False),
        ("lib.base.Base", True),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "from kafka import KafkaConsumer\nclass Reader(KafkaConsumer): ...",
        "from kombu.mixins import ConsumerMixin\nclass Reader(ConsumerMixin): ...",
        "class Consumer: ...\nclass Reader(Consumer): ...",
        "class Reader(Reader): ...  # Consumer",
    ],
)
def test_other_consumers_are_none(read, source):
    assert read(chat__consumers=source).consumers == {}


def test_only_methods_that_take_a_message_are_handlers(read):
    index = read(
        chat__consumers=ASYNC
        + """
from channels.db import database_sync_to_async

class Chat(AsyncJsonWebsocketConsumer):
    @property
    def room(self): ...
    async def connect(self): ...
    async def receive_json(self, content, **kwargs):
        await self.keep(content)
        await self.helper(content)
        create_task(run(self.passed_on, content))
        await self.table[content["kind"]](self, content)
    async def disconnect(self, code): ...
    async def send_json(self, content, close=False): ...
    @database_sync_to_async
    def keep(self, text): ...
    def frame(self, text): ...
    async def helper(self, text): ...
    async def passed_on(self, text): ...
    async def in_a_table(self, text): ...
    table = {"x": in_a_table}
    async def _private(self, event): ...
    async def two(self, event, other): ...
    async def none(self): ...
    async def chat_message(self, event): ...
    async def with_default(self, event, n=3): ...
    async def anything(self, *args): ...
"""
    )
    assert [name for name, _ in handlers(index)] == ["chat_message", "with_default", "anything"]


def test_a_method_that_is_called_and_sent_to_is_a_handler(read):
    index = read(
        chat__consumers=ASYNC
        + """
class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.tell({"type": "tell"})
        await self.channel_layer.group_send("all", {"type": "tell"})
    async def tell(self, event): ...
"""
    )
    assert handlers(index) == [("tell", True)]


def test_a_decorated_method_is_a_handler_where_its_type_is_sent(read):
    index = read(
        chat__consumers=ASYNC
        + """
class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_send("all", {"type": "tell"})
        await self.channel_layer.group_send("all", {"type": "kept"})
    @logged
    async def tell(self, event): ...
    @logged
    async def other(self, event): ...
    @database_sync_to_async
    def kept(self, event): ...
"""
    )
    assert handlers(index) == [("tell", True)]


def test_a_type_with_underscores_or_dots_reaches_the_same_handler(read):
    index = read(
        chat__consumers=ASYNC + "class Chat(AsyncJsonWebsocketConsumer):\n    async def chat_message(self, event): ...",
        chat__tasks="""
        def tell(layer, event):
            layer.group_send("a", {"type": "chat.message"})
            layer.group_send("a", {"type": "chat_message"})
            layer.group_send("a", {"type": "chat.massage"})
        """,
    )
    (consumer,) = index.consumers.values()
    assert consumer.handler("chat.message") == consumer.handler("chat_message") == consumer.handlers[0]
    assert consumer.handler("chat.massage") is None
    assert consumer.handlers[0].key == "handler:chat.consumers.Chat.chat_message"
    assert [use.message_type for use in index.unhandled()] == ["chat.massage"]
    assert index.consumers_of("chat.message") == [consumer]


def test_methods_tell_what_they_call_and_what_of_the_scope_they_read(read):
    index = read(
        chat__consumers=ASYNC
        + """
class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        if self.scope["user"].is_anonymous or self.scope.get("token"):
            await self.close(4003)
        await self.accept()
"""
    )
    connect = index.consumers["chat.consumers.Chat"].methods["connect"]
    assert connect.calls == (("close", 6), ("accept", 7))
    assert (connect.scope_keys, connect.is_async, connect.line) == (("user", "token"), True, 4)
