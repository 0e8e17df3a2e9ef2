"""BC509 to BC511, BC609: who opens a socket, what a client sends, what a layer keeps."""

from __future__ import annotations

import pytest

HEAD = """
from channels.auth import AuthMiddlewareStack
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import SessionMiddlewareStack
from django.urls import path
from elsewhere import Gate, Base

"""
PLAIN = "class Orders(AsyncWebsocketConsumer):\n    groups = ['orders']\n"
ROUTES = "URLRouter([path('ws/', Orders.as_asgi())])"


def site(application, consumer=PLAIN):
    return {"chat/asgi.py": f"{HEAD}{consumer}\n\napplication = ProtocolTypeRouter({{'websocket': {application}}})\n"}


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (["BC509"], site(ROUTES)),
        (["BC509"], site(f"AllowedHostsOriginValidator({ROUTES})")),
        (["BC510"], site(f"AuthMiddlewareStack({ROUTES})")),
        ([], site(f"AllowedHostsOriginValidator(AuthMiddlewareStack({ROUTES}))")),
        ([], site(f"Gate({ROUTES})")),
        ([], site(ROUTES, "class Orders(AsyncHttpConsumer):\n    async def handle(self, body): ...\n")),
        ([], site(f"Gate(AuthMiddlewareStack({ROUTES}))")),
        ([], site(ROUTES, PLAIN + "    async def connect(self):\n        check(self.scope['query_string'], TOKEN)\n")),
        ([], site(ROUTES, PLAIN.replace("AsyncWebsocketConsumer", "Base, AsyncWebsocketConsumer"))),
        ([], site(f"AuthMiddlewareStack({ROUTES})", PLAIN + "    origins = [b'origin', 'origin']\n")),
    ],
)
def test_who_may_connect(codes, expected, files):
    assert codes(files) == expected


def test_a_router_is_told_once(found):
    routes = "URLRouter([path('a/', Orders.as_asgi()), path('b/', Orders.as_asgi())])"
    assert [code for code, _, _ in found(site(routes))] == ["BC509"]


def test_an_inherited_look_counts(codes):
    base = "class Asks(AsyncWebsocketConsumer):\n    async def connect(self):\n        look(self.scope['user'])\n\n"
    assert codes(site(ROUTES, base + PLAIN.replace("AsyncWebsocketConsumer", "Asks"))) == []


def takes(body, base="AsyncJsonWebsocketConsumer", name="receive_json(self, content, **kwargs)"):
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    head = "import json\n" + HEAD
    return {"chat/consumers.py": f"{head}class Chat({base}):\n    async def {name}:\n{lines}"}


RECEIVE = {"base": "AsyncWebsocketConsumer", "name": "receive(self, text_data=None, bytes_data=None)"}


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (["BC511"], takes("await self.send_json(content['text'])")),
        (["BC511"], takes("data = json.loads(text_data)\nawait self.send(data['text'])", **RECEIVE)),
        ([], takes("await self.send_json(content.get('text'))")),
        ([], takes("if 'text' in content:\n    await self.send_json(content['text'])")),
        ([], takes("try:\n    await self.send_json(content['text'])\nexcept KeyError:\n    pass")),
        ([], takes("self.refuse(content)\nawait self.send_json(content['text'])")),
        ([], takes("form = Form(data=content)\nawait self.send_json(form.is_valid() and content['text'])")),
        ([], takes("content = self.cleaned\nawait self.send_json(content['text'])")),
        ([], takes("content['seen'] = True")),
        ([], takes("await self.send_json(content[0])")),
        ([], takes("data = json.loads(text_data)\nself.check(data)\nawait self.send(data['text'])", **RECEIVE)),
        ([], takes("await self.send_json(content['text'])", name="chat_message(self, content)")),
    ],
)
def test_what_a_client_sends(codes, expected, files):
    assert codes(files) == expected


LAYER = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.%s", "CONFIG": %s}}\n'


@pytest.mark.parametrize(
    ("expected", "path", "settings"),
    [
        (["BC609"], "config/settings.py", LAYER % ("core.RedisChannelLayer", '{"hosts": HOSTS}')),
        ([], "config/settings.py", LAYER % ("core.RedisChannelLayer", '{"hosts": HOSTS, "expiry": 10}')),
        ([], "config/settings.py", LAYER % ("core.RedisChannelLayer", "CONFIG")),
        ([], "config/settings.py", LAYER % ("core.RedisChannelLayer", '{"hosts": HOSTS, **MORE}')),
        ([], "config/settings.py", LAYER % ("pubsub.RedisPubSubChannelLayer", '{"hosts": HOSTS}')),
    ],
)
def test_what_a_layer_keeps(codes, expected, path, settings):
    assert codes({path: settings}) == expected
