"""Where a consumer decides by a value of a client's JSON: which key, which values, which method."""

from __future__ import annotations

import pytest

HEAD = """
import json
from channels.generic.websocket import AsyncJsonWebsocketConsumer

class Chat(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
{body}

    async def join(self, content): ...
    async def leave(self, content): ...
"""


def dispatches(read, body):
    text = "\n".join(f"        {line}" for line in body.strip("\n").splitlines())
    index = read(chat__consumers=HEAD.format(body=text))
    return index.consumers["chat.consumers.Chat"].dispatches


def told(dispatch):
    return dispatch.field, dispatch.style, [(one.value, one.calls) for one in dispatch.branches], dispatch.has_default


@pytest.mark.parametrize(
    "condition",
    [
        'content["action"] == "{0}"',
        'content.get("action") == "{0}"',
        'content.get("action", "") == "{0}"',
        '"{0}" == content["action"]',
    ],
)
def test_comparisons_are_branches(read, condition):
    body = f"""
if {condition.format("join")}:
    await self.join(content)
elif {condition.format("leave")}:
    await self.leave(content)
"""
    (found,) = dispatches(read, body)
    assert told(found) == ("action", "if", [("join", ("join",)), ("leave", ("leave",))], False)
    assert [one.key for one in found.branches] == [
        "json:chat.consumers.Chat.action=join",
        "json:chat.consumers.Chat.action=leave",
    ]
    assert [one.line for one in found.branches] == [7, 9]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            'kind = content["type"]\nif kind == "join":\n    await self.join(content)\nelse:\n    await self.close()',
            ("type", "if", [("join", ("join",))], True),
        ),
        (
            'if (kind := content.get("type")) in ("join", "enter"):\n    await self.join(content)',
            ("type", "if", [("join", ("join",)), ("enter", ("join",))], False),
        ),
        ('if content["type"] != "join":\n    return\nawait self.join(content)', ("type", "if", [("join", ())], False)),
        (
            'match content["type"]:\n    case "join" | "enter":\n        await self.join(content)\n'
            "    case _:\n        pass",
            ("type", "match", [("join", ("join",)), ("enter", ("join",))], True),
        ),
        (
            'match content:\n    case {"type": "join", "room": room}:\n        await self.join(room)\n'
            '    case {"type": "leave"}:\n        await self.leave(content)',
            ("type", "match", [("join", ("join",)), ("leave", ("leave",))], False),
        ),
        (
            'await {"join": self.join, "leave": self.leave}[content["type"]](content)',
            ("type", "table", [("join", ("join",)), ("leave", ("leave",))], False),
        ),
        (
            'table = {"join": self.join}\nhandler = table.get(content["type"], self.leave)\nawait handler(content)',
            ("type", "table", [("join", ("join",))], True),
        ),
    ],
)
def test_other_ways_to_decide(read, body, expected):
    (found,) = dispatches(read, body)
    assert told(found) == expected


def test_a_table_of_the_class_and_a_text_frame(read):
    index = read(
        chat__consumers="""
        import json
        from channels.generic.websocket import WebsocketConsumer

        class Chat(WebsocketConsumer):
            def join(self, data): ...
            commands = {"join": join}

            def receive(self, text_data=None, bytes_data=None):
                data = json.loads(text_data)
                self.commands[data["command"]](self, data)
        """
    )
    (found,) = index.consumers["chat.consumers.Chat"].dispatches
    assert told(found) == ("command", "table", [("join", ("join",))], False)


def test_a_decoder_may_be_imported_by_itself_and_a_value_taken_at_once(read):
    index = read(
        chat__consumers="""
        from json import loads
        import orjson
        from channels.generic.websocket import WebsocketConsumer

        class Chat(WebsocketConsumer):
            def receive(self, text_data):
                data = loads(text_data)
                if data["type"] == "join": ...

        class Other(WebsocketConsumer):
            def receive(self, text_data):
                kind = orjson.loads(text_data)["kind"]
                if kind == "leave": ...
        """
    )
    found = [told(one) for consumer in index.consumers.values() for one in consumer.dispatches]
    assert found == [("type", "if", [("join", ())], False), ("kind", "if", [("leave", ())], False)]


def test_a_message_and_a_value_are_followed_into_other_methods(read):
    index = read(
        chat__consumers="""
        from channels.generic.websocket import AsyncJsonWebsocketConsumer

        class Base(AsyncJsonWebsocketConsumer):
            async def receive_json(self, content):
                await self.route(content["type"], content)

            async def route(self, kind, content):
                if kind == "join": ...
                if content.get("mode") == 3: ...

        class Chat(Base): ...
        """
    )
    found = index.consumers["chat.consumers.Chat"].dispatches
    assert [told(one)[:3] for one in found] == [
        ("type", "if", [("join", ())]),
        ("mode", "if", [(3, ())]),
    ]


def test_actions_of_the_rest_framework_for_channels_are_branches(read):
    index = read(
        chat__consumers="""
        from djangochannelsrestframework.decorators import action
        from djangochannelsrestframework.generics import GenericAsyncAPIConsumer

        class Chat(GenericAsyncAPIConsumer):
            @action()
            async def join(self, pk, **kwargs): ...
            async def told(self, event): ...
        """
    )
    consumer = index.consumers["chat.consumers.Chat"]
    assert [told(one) for one in consumer.dispatches] == [("action", "action", [("join", ("join",))], False)]
    assert [one.name for one in consumer.handlers] == ["told"]


@pytest.mark.parametrize(
    "body",
    [
        'if content["text"] == content["other"]: ...',
        'if self.state == "open": ...',
        'event = {"type": "x"}\nif event["type"] == "x": ...',
        "if content: ...\nif len(content) == 3: ...",
    ],
)
def test_other_comparisons_are_none(read, body):
    assert dispatches(read, body) == ()


def test_a_handlers_event_is_no_clients_message(read):
    index = read(
        chat__consumers="""
        from channels.generic.websocket import AsyncJsonWebsocketConsumer

        class Chat(AsyncJsonWebsocketConsumer):
            async def receive_json(self, content): ...
            async def chat_message(self, event):
                if event["kind"] == "loud": ...
        """
    )
    assert index.consumers["chat.consumers.Chat"].dispatches == ()
