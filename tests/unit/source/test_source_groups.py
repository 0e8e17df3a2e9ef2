"""Groups as patterns, and the messages that are sent to them."""

from __future__ import annotations

import pytest

SEND = "def tell(layer, pk, name, event):\n    layer.group_send({group}, {message})\n"


def group_of(read, group, **files):
    (use,) = read(chat__live=SEND.format(group=group, message="event"), **files).group_uses
    return use.group


@pytest.mark.parametrize(
    ("group", "pattern"),
    [
        ("'all'", "all"),
        ("f'room_{pk}'", "room_{}"),
        ("f'room_{pk}_{name}'", "room_{}_{}"),
        ("f'{pk}{name}'", "{}"),
        ("'room_' + str(pk)", "room_{}"),
        ("'room_%s' % pk", "room_{}"),
        ("'room_%s_%d' % (name, pk)", "room_{}_{}"),
        ("'room_%(pk)s' % {'pk': pk}", "room_{}"),
        ("'room_{}'.format(pk)", "room_{}"),
        ("'room_{pk}'.format(pk=pk)", "room_{}"),
        ("f'room_{7}'", "room_7"),
        ("pk", "{}"),
        ("name.lower()", "{}"),
        ("'a' if pk else 'b'", "{}"),
    ],
)
def test_a_name_is_a_pattern(read, group, pattern):
    assert group_of(read, group) == pattern


def test_constants_and_helpers_of_other_modules_are_followed(read):
    helpers = """
    from .names import PREFIX
    PLAIN = "all"
    def room(pk): return f"{PREFIX}_{pk}"
    def either(pk):
        if pk: return "a"
        return "b"
    class Names:
        KIND = "kind"
        @staticmethod
        def of(pk): return "of_%s" % pk
    """
    calls = ("room(7)", "helpers.room(7)", "helpers.PLAIN", "PLAIN + '_x'", "either(1)", "Names.KIND", "Names.of(7)")
    body = "\n".join(f"    layer.group_send({call}, event)" for call in calls)
    imports = "from . import helpers\nfrom .helpers import PLAIN, Names, either, room\n"
    index = read(
        chat__names='PREFIX = "room"',
        chat__helpers=helpers,
        chat__live=f"{imports}def tell(layer, event):\n{body}",
    )
    assert [use.group for use in index.group_uses] == ["room_{}", "room_{}", "all", "all_x", "{}", "kind", "of_{}"]


CONSUMER = """
from channels.generic.websocket import AsyncWebsocketConsumer

class Base(AsyncWebsocketConsumer):
    prefix = "room"
    groups = ["everyone", f"{prefix}_all"]
    def group_name(self, pk): return f"{self.prefix}_{pk}"

class Chat(Base):
    async def connect(self):
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        self.group = f"chat_{self.pk}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.channel_layer.group_add(self.group_name(self.pk), self.channel_name)
        self.groups.append("late")
        name = f"user_{self.pk}"
        await self.channel_layer.group_add(name, self.channel_name)
        await self.channel_layer.group_add(group=self.own, channel=self.channel_name)

    @property
    def own(self): return f"own_{self.pk}"

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)
"""


def test_a_consumers_groups_are_followed_through_its_attributes(read):
    index = read(chat__consumers=CONSUMER)
    told = [(use.action, use.group, use.through, use.consumer.rpartition(".")[2]) for use in index.group_uses]
    assert told == [
        ("add", "chat_{}", "", "Chat"),
        ("add", "room_{}", "", "Chat"),
        ("add", "late", "groups", "Chat"),
        ("add", "user_{}", "", "Chat"),
        ("add", "own_{}", "", "Chat"),
        ("discard", "chat_{}", "", "Chat"),
    ]
    assert index.consumers["chat.consumers.Base"].groups == ("everyone", "room_all")
    assert index.groups() == ["chat_{}", "everyone", "late", "own_{}", "room_all", "room_{}", "user_{}"]
    assert index.group_uses[0].key == "group_add:chat.consumers.Chat.connect->chat_{}#1"


def test_an_attribute_that_is_assigned_two_names_is_not_known(read):
    index = read(
        chat__consumers="""
        from channels.generic.websocket import WebsocketConsumer
        class Chat(WebsocketConsumer):
            def connect(self):
                self.group = None
                self.group = "a"
            def other(self):
                self.group = "b"
                self.channel_layer.group_send(self.group, {"type": "x"})
        """
    )
    assert [use.group for use in index.group_uses] == ["{}"]


@pytest.mark.parametrize(
    ("body", "through", "awaited"),
    [
        ("await layer.group_send('a', {'type': 'x'})", "", True),
        ("async_to_sync(layer.group_send)('a', {'type': 'x'})", "async_to_sync", False),
        ("async_to_sync(get_channel_layer().group_send)('a', {'type': 'x'})", "async_to_sync", False),
        ("send = async_to_sync(layer.group_send)\n    send('a', {'type': 'x'})", "async_to_sync", False),
        ("transaction.on_commit(partial(async_to_sync(layer.group_send), 'a', {'type': 'x'}))", "async_to_sync", False),
        ("layer.group_send(group='a', message={'type': 'x'})", "", False),
        ("event = {'type': 'x'}\n    layer.group_send('a', event)", "", False),
        ("event = dict(type='x')\n    layer.group_send('a', event)", "", False),
        ("layer.group_send('a', made())", "", False),
        ("event = await made()\n    layer.group_send('a', event)", "", False),
    ],
)
def test_a_send_is_found_however_it_is_called(read, body, through, awaited):
    index = read(chat__live=f"async def tell(layer):\n    {body}\n\ndef made():\n    return {{'type': 'x'}}\n")
    (use,) = index.group_uses
    assert (use.action, use.group, use.message_type, use.message_keys) == ("send", "a", "x", ("type",))
    assert (use.through, use.around.awaited, use.handler) == (through, awaited, "x")


@pytest.mark.parametrize(
    ("message", "message_type", "keys"),
    [
        ("{'type': 'chat.message', 'text': name}", "chat.message", ("type", "text")),
        ("{'type': f'chat.{name}'}", "chat.{}", ("type",)),
        ("{'type': name}", None, ("type",)),
        ("{'type': 'x', **event}", None, None),
        ("{**event, 'type': 'x'}", "x", None),
        ("{name: 1, 'type': 'x'}", "x", None),
        ("{'text': 'no type'}", None, ("text",)),
        ("event", None, None),
    ],
)
def test_a_message_is_known_as_far_as_it_is_literal(read, message, message_type, keys):
    (use,) = read(chat__live=SEND.format(group="'a'", message=message)).group_uses
    assert (use.message_type, use.message_keys) == (message_type, keys)


def test_a_send_to_a_channel_is_told_from_a_consumers_own_send(read):
    index = read(
        chat__live="""
        from channels.layers import get_channel_layer
        layer = get_channel_layer()
        class Mailer:
            def send(self): ...
        async def tell(self, socket):
            await get_channel_layer().send("thumbnails", {"type": "make"})
            await layer.send("thumbnails", {"type": "make"})
            await self.channel_layer.send(self.channel_name, {"type": "make"})
            await self.send("text")
            await socket.send("text")
            Mailer().send()
        """
    )
    assert [(use.action, use.group) for use in index.group_uses] == [
        ("channel_send", "thumbnails"),
        ("channel_send", "thumbnails"),
        ("channel_send", "{}"),
    ]
    assert index.groups() == []


def test_a_group_that_something_else_reads_is_not_unhandled(read):
    index = read(
        chat__live="""
        async def listen(layer):
            name = await layer.new_channel()
            await layer.group_add("progress", name)
            await layer.receive(name)
        async def tell(layer):
            await layer.group_send("progress", {"type": "step"})
            await layer.group_send("other", {"type": "step"})
        """
    )
    assert [use.group for use in index.unhandled()] == ["other"]


WRAPPERS = """
from asgiref.sync import async_to_sync

def tell(group, payload, layer=None):
    async_to_sync(layer.group_send)(group, payload)

@shared_task(bind=True)
def tell_later(self, group, message):
    layer.group_send(group, message)

class Status:
    def send(self, payload):
        self.layer.group_send("status", payload)

    def done(self, pk):
        self.send({"type": "status.done", "pk": pk})

class Loud(Status):
    def shout(self):
        payload = {"type": "status.loud"}
        self.send(payload=payload)
"""


def test_a_function_that_sends_what_it_is_given_is_followed_to_who_calls_it(read):
    index = read(
        chat__live=WRAPPERS,
        chat__views="""
        from .live import tell, tell_later
        def view(pk, event):
            tell(f"chat_{pk}", {"type": "chat.message", "text": ""})
            tell("all", event)
            tell(payload={"type": "news"}, group="all")
            other({"type": "chat.message"})
            async_to_sync(tell)("a", {"type": "news"})
            tell_later.delay("b", {"type": "news"})
        """,
    )
    told = [
        (use.place.function, use.group, use.message_type, use.message_keys, use.wrapper) for use in index.group_uses
    ]
    assert told == [
        ("chat.live.tell", "{}", None, None, ""),
        ("chat.live.tell_later", "{}", None, None, ""),
        ("chat.live.Status.send", "status", None, None, ""),
        ("chat.live.Status.done", "status", "status.done", ("type", "pk"), "chat.live.Status.send"),
        ("chat.live.Loud.shout", "status", "status.loud", ("type",), "chat.live.Status.send"),
        ("chat.views.view", "chat_{}", "chat.message", ("type", "text"), "chat.live.tell"),
        ("chat.views.view", "all", "news", ("type",), "chat.live.tell"),
        ("chat.views.view", "a", "news", ("type",), "chat.live.tell"),
        ("chat.views.view", "b", "news", ("type",), "chat.live.tell_later"),
    ]
