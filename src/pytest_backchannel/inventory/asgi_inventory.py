"""What a web process of production has: plain data, as the child process has found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """What production says of mail, channel layers and caches, each by its name; ``child/site_settings.py`` says what.

    Attributes:
        mail: the mailers.
        layers: the channel layers.
        caches: the caches.
        waiting_calls: the calls of clients without a time-out: ``where``, and ``what`` is called.
    """

    mail: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    caches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    waiting_calls: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class ImportFailure:
    """Why something can't be imported in a fresh process.

    Attributes:
        text: the exception in one line, with the project's innermost line.
        type: the name of its type.
        traceback: its traceback, as lines.
        environment: whether it may fail here alone: a variable or a package that production has, or a refused server.
    """

    text: str
    type: str
    traceback: Sequence[str]
    environment: bool


@dataclass(frozen=True, kw_only=True)
class KnownRoute:
    """An endpoint of the ASGI application.

    Attributes:
        protocol: such as ``websocket``.
        path: the pattern, or the name of a channel.
        consumer: the path of the consumer's class; empty for another kind of application.
        handlers: the consumer's own methods that handle messages of a channel layer.
        middleware: the names of what stands before it, outermost first.
        file: the file of the consumer's class; empty where that is not known.
        line: its first line; 0 where that is not known.
        methods: the line of each method that the project has written: handlers, ``connect``, ``receive_json`` …
        helpers: those of them that another one of them names: code calls them, so they need not be meant for messages.
        may_refuse: whether the code of its handshake names what refuses one.
    """

    protocol: str
    path: str
    consumer: str
    handlers: Sequence[str]
    middleware: Sequence[str]
    file: str = ""
    line: int = 0
    methods: Mapping[str, int] = field(default_factory=dict)
    helpers: Sequence[str] = ()
    may_refuse: bool = False


@dataclass(frozen=True, kw_only=True)
class AsgiInventory:
    """What a server would have that imports ``ASGI_APPLICATION`` in a fresh process, under the settings of production.

    Attributes:
        settings_module: the settings module of production.
        application: what ``ASGI_APPLICATION`` says; empty where it says nothing.
        failure: why it can't be imported; None where it can.
        routes: the endpoints.
        without_celery_app: the modules whose shared tasks belong to no app, since nothing has imported the project's.
        celery_app: where that app is; empty where there is none, or it is imported.
        site: mail, layers and caches.
        unknown: why the inventory may lack something; empty where it is complete.
    """

    settings_module: str
    application: str
    failure: ImportFailure | None
    routes: Sequence[KnownRoute]
    without_celery_app: Sequence[str]
    celery_app: str
    site: SiteSettings
    unknown: Sequence[str]

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> AsgiInventory:
        """Of what the child process has written."""
        failure = data["failure"]
        values: dict[str, Any] = {
            **data,
            "failure": ImportFailure(**failure) if failure is not None else None,
            "routes": [KnownRoute(**route) for route in data["routes"]],
            "site": SiteSettings(**data["site"]),
        }
        return cls(**values)
