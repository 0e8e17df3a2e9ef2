"""Routes to consumers, with what stands before them."""

from __future__ import annotations

CONSUMERS = """
from channels.generic.websocket import WebsocketConsumer
class Chat(WebsocketConsumer): ...
class Feed(WebsocketConsumer): ...
"""


def told(index):
    return [(one.pattern, one.kind, one.consumer, one.resolved, one.middleware) for one in index.routes]


def test_routes_of_a_list_have_the_middleware_of_the_router_that_names_it(read):
    index = read(
        chat__consumers=CONSUMERS,
        chat__routing="""
        from django.urls import path, re_path
        from . import consumers
        websocket_urlpatterns = [
            path("ws/chat/<int:pk>/", consumers.Chat.as_asgi(), name="chat"),
            re_path(r"^ws/feed/(?P<name>\\w+)/$", consumers.Feed.as_asgi(kind=1)),
        ]
        """,
        config__asgi="""
        from channels.auth import AuthMiddlewareStack
        from channels.routing import ProtocolTypeRouter, URLRouter
        from channels.security.websocket import AllowedHostsOriginValidator as Origin
        from chat import routing
        application = ProtocolTypeRouter({
            "http": django,
            "websocket": Origin(AuthMiddlewareStack(URLRouter(routing.websocket_urlpatterns))),
        })
        """,
    )
    before = ("channels.security.websocket.AllowedHostsOriginValidator", "channels.auth.AuthMiddlewareStack")
    assert told(index) == [
        ("ws/chat/<int:pk>/", "path", "chat.consumers.Chat", True, before),
        (r"^ws/feed/(?P<name>\w+)/$", "re_path", "chat.consumers.Feed", True, before),
    ]
    assert [(one.key, one.name, one.through_router) for one in index.routes] == [
        ("route:ws/chat/<int:pk>/->chat.consumers.Chat", "chat", True),
        (r"route:^ws/feed/(?P<name>\w+)/$->chat.consumers.Feed", None, True),
    ]


def test_routes_within_the_router_sums_of_lists_and_nested_routers(read):
    index = read(
        chat__consumers=CONSUMERS,
        chat__routing="""
        from django.urls import path
        from .consumers import Feed
        more = [path("feed/", Feed.as_asgi())]
        """,
        config__asgi="""
        from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
        from channels.sessions import SessionMiddlewareStack
        from django.urls import path
        from chat.consumers import Chat
        from chat.routing import more
        from elsewhere import others
        from lib import Token
        routes = [path("chat/", Token(Chat.as_asgi()))]
        websocket = SessionMiddlewareStack(URLRouter(routes + others))
        application = ProtocolTypeRouter({
            "websocket": websocket,
            "channel": ChannelNameRouter({"thumbnails": Chat.as_asgi()}),
        })
        nested = URLRouter([path("api/", URLRouter([*more, path("x/", Chat.as_asgi())]))])
        """,
    )
    assert told(index) == [
        ("api/feed/", "path", "chat.consumers.Feed", True, ()),
        ("chat/", "path", "chat.consumers.Chat", True, ("channels.sessions.SessionMiddlewareStack", "lib.Token")),
        ("thumbnails", "channel", "chat.consumers.Chat", True, ()),
        ("api/x/", "path", "chat.consumers.Chat", True, ()),
    ]


def test_views_and_applications_are_no_routes_to_consumers(read):
    index = read(
        shop__urls="""
        from django.urls import include, path
        from . import views
        urlpatterns = [
            path("", views.index),
            path("x/", views.X.as_view()),
            path("api/", include("api.urls")),
            path("consumer/", views.consumer),
        ]
        """
    )
    assert index.routes == ()


def test_a_consumer_that_is_not_in_the_tree_is_kept_as_it_is_imported(read):
    index = read(
        config__routing="""
        from django.urls import path
        from lib.consumers import Graph
        routes = [path("graphql/", Graph.as_asgi()), path(PREFIX + "g/", get_consumer().as_asgi())]
        """
    )
    assert told(index) == [
        ("graphql/", "path", "lib.consumers.Graph", False, ()),
        ("{}g/", "path", "config.routing.get_consumer()", False, ()),
    ]
