from django.urls import register_converter
from django.urls.converters import get_converters


class RoomConverter:
    """A room's name: short, and free of what a channel layer forbids in the name of a group."""

    regex = "[-a-zA-Z0-9_]{1,80}"

    def to_python(self, value):
        return value

    def to_url(self, value):
        return value


def register_room_converter():
    """For the pages and for the WebSockets, whichever is imported first."""
    if "room" not in get_converters():
        register_converter(RoomConverter, "room")
