"""BC5xx: what each rule finds beside its own example, and what only looks like it."""

from __future__ import annotations

from textwrap import indent

import pytest

HEAD = """
import time, asyncio, requests
from asgiref.sync import async_to_sync, sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from .models import Room

"""
LEAVES = "async def disconnect(self, code):\n    await self.channel_layer.group_discard('chat', self.channel_name)\n"
JOIN = "await self.channel_layer.group_add('chat', self.channel_name)\n"


def consumer(body, base="AsyncWebsocketConsumer"):
    return {"chat/consumers.py": f"{HEAD}class Chat({base}):\n{indent(body, '    ')}"}


def connect(*lines):
    return "async def connect(self):\n" + "".join(f"    {line}\n" for line in lines) + LEAVES


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("BC501", connect("await self.accept('chat')", "self.room = 1", JOIN.strip())),
        ("BC502", "async def receive(self, text_data=None, bytes_data=None):\n    " + JOIN),
        ("BC503", connect("for room in Room.objects.all():", "    print(room)", "await self.accept()")),
        ("BC503", connect("Room.objects.filter(name='a').update(open=True)", "await self.accept()")),
        ("BC504", connect("requests.get('http://x', timeout=1)", "await self.accept()")),
        ("BC505", connect("await self.close(4401)")),
        ("BC505", connect("await self.check()", "await self.close(code=4401)") + "async def check(self):\n    pass\n"),
        ("BC507", connect(JOIN.replace("'chat'", "f'chat room {self.room}'").strip(), "await self.accept()")),
        ("BC507", connect(JOIN.replace("'chat'", "'" + "a" * 100 + "'").strip(), "await self.accept()")),
        ("BC508", connect("async_to_sync(self.work)()", "await self.accept()")),
    ],
)
def test_it_is_found(codes, code, body):
    assert codes(consumer(body)) == [code]


@pytest.mark.parametrize(
    "body",
    [
        connect(JOIN.strip(), "await self.accept()"),
        connect("await self.accept()", JOIN.strip(), "await self.send_missed()"),
        connect("await self.accept()", "if self.room:", "    " + JOIN.strip()),
        "groups = ['chat']\n",
        connect("self.room = await Room.objects.aget(pk=1)", "await self.accept()"),
        connect("self.room = await sync_to_async(Room.objects.get)(pk=1)", "await self.accept()"),
        connect("self.room = await sync_to_async(lambda: Room.objects.get(pk=1))()", "await self.accept()"),
        connect("async for room in Room.objects.all():", "    print(room)", "await self.accept()"),
        connect("rooms = Room.objects.filter(open=True)", "await self.accept()"),
        "@database_sync_to_async\ndef room(self):\n    return Room.objects.get(pk=1)\n",
        connect("def work():", "    time.sleep(1)", "await sync_to_async(work)()", "await self.accept()"),
        connect("await asyncio.sleep(1)", "await self.accept()"),
        connect("await self.close()"),
        connect("await self.accept()", "await self.close(code=4401)"),
        connect("await super().connect()", "await self.close(code=4401)"),
        connect("await self.enter()", "await self.close(4401)") + "async def enter(self):\n    await self.accept()\n",
        "async def receive(self, text_data=None, bytes_data=None):\n    await self.close(code=4401)\n",
        connect(JOIN.replace("'chat'", "f'chat.room-{self.room}_1'").strip(), "await self.accept()"),
        connect(JOIN.replace("'chat'", "self.name").strip(), "await self.accept()"),
        connect("work = async_to_sync(self.work)", "await self.accept()"),
        connect("await self.channel_layer.group_send('chat', {'type': self.kind})", "await self.accept()"),
    ],
)
def test_what_only_looks_like_it_is_let_be(codes, body):
    assert codes(consumer(body)) == []


def test_a_sync_consumer_may_block(codes):
    body = "def connect(self):\n    time.sleep(1)\n    Room.objects.get(pk=1)\n    self.accept()\n"
    assert codes(consumer(body, "WebsocketConsumer")) == []


def test_a_base_class_may_leave_the_group(codes):
    files = consumer("async def receive(self, text_data=None, bytes_data=None):\n    " + JOIN, "Base")
    base = f"class Base(AsyncWebsocketConsumer):\n{indent(LEAVES, '    ')}\n"
    files["chat/consumers.py"] = files["chat/consumers.py"].replace("class Chat", f"{base}\nclass Chat")
    assert codes(files) == []


@pytest.mark.parametrize(
    ("kind", "expected"), [("chat.message", []), ("chat_message", []), ("chat.mesage", ["BC506"]), ("close", ["BC506"])]
)
def test_a_type_without_a_handler(codes, kind, expected):
    files = consumer("groups = ['chat']\nasync def chat_message(self, event):\n    await self.send('x')\n")
    send = f"async_to_sync(get_channel_layer().group_send)('chat', {{'type': '{kind}'}})"
    files["chat/views.py"] = (
        "from asgiref.sync import async_to_sync\nfrom channels.layers import get_channel_layer\n\n"
        f"def view(request):\n    {send}\n"
    )
    assert codes(files) == expected
