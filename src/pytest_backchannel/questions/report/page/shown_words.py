"""What the page calls the kinds of items, their facets and what is known about them."""

from __future__ import annotations

KIND_WORDS = {
    "task": ("Task", "Tasks"),
    "call": ("Call site", "Call sites"),
    "beat": ("Beat entry", "Beat entries"),
    "route": ("Route", "Routes"),
    "handler": ("Handler", "Handlers"),
    "frame": ("Frame", "Frames"),
    "group": ("Group", "Groups"),
    "message": ("Message type", "Message types"),
}
"""One, and several."""

_FACETS = {
    "run": "ran",
    "as_task": "ran as a task",
    "exhausted": "ran out of retries",
    "twice": "delivered twice",
    "killed": "killed with its worker",
    "mock_fits": "mocked calls fit",
    "function": "called as a function",
    "errback": "called as an errback",
    "eager": "ran eagerly",
    "stepped": "ran on the stepped worker",
    "thread": "ran on a worker in a thread",
    "real": "ran on a real worker",
    "mocked": "mocked away",
    "task_run": "its task ran",
    "connected": "connected through the application",
    "router": "connected by a router of the test's own",
    "class": "connected as a class alone",
    "sent": "sent",
    "lost": "lost on the way",
}

ABOUT_WORDS = {
    "name": "Name",
    "queue": "Queue",
    "options": "Options",
    "hooks": "Hooks",
    "base": "Base",
    "parameters": "Parameters",
    "how": "How",
    "schedule": "Schedule",
    "path": "Path",
    "consumer": "Consumer",
    "middleware": "Middleware",
    "protocol": "Protocol",
    "handler": "Method",
    "field": "Field",
    "value": "Value",
    "pattern": "Pattern",
    "type": "Type",
    "handlers": "Handled by",
}
"""What is shown of ``about``; the rest stands in the links to other items."""


def facet_words(name: str) -> str:
    """What the page calls a facet: ``hook:on_failure`` is ``on_failure ran``."""
    if name.startswith("hook:"):
        return f"{name.partition(':')[2]} ran"
    return _FACETS.get(name, name.replace("_", " "))
