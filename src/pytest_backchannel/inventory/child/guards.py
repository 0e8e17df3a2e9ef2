"""Keeps a child process from reaching anything real; installed before any code of the project is imported."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from .refusals import refuse
from .refusing_drivers import RefusingDrivers

# As the engines of Django and of those that derive from them are called.
_VENDORS = {
    "postg": "postgresql",
    "psycopg": "postgresql",
    "timescale": "postgresql",
    "cockroach": "cockroachdb",
    "mysql": "mysql",
    "maria": "mysql",
    "sqlite": "sqlite",
    "spatialite": "sqlite",
    "oracle": "oracle",
    "mssql": "microsoft",
}

# Audit events of CPython (docs.python.org, "Audit events table"): they come from C, and no patch of a library hides
# them.
_SOCKET_EVENTS = {
    "socket.connect": "a connection",
    "socket.sendto": "a datagram",
    "socket.sendmsg": "a datagram",
    "socket.bind": "a server socket",
    "socket.getaddrinfo": "a look-up of a host name",
    "socket.gethostbyname": "a look-up of a host name",
}
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")

ORIGINALS: dict[str, Any] = {}
"""What the settings said of databases, caches and layers before they were replaced."""


_replaced: dict[str, Mapping[str, Any]] = {}


def replaced(name: str) -> Mapping[str, Any]:
    """What a setting said before it was replaced: ``CACHES`` or ``CHANNEL_LAYERS``. It may hold secrets."""
    return _replaced.get(name, {})


def install() -> None:
    """Refuse databases, caches, channel layers, brokers, result backends and sockets, for the life of this process.

    The first five are replaced by what answers nothing; sockets are the second line, for whatever else connects.
    """
    sys.addaudithook(_refuse_sockets)
    sys.meta_path.insert(0, RefusingDrivers())
    _refuse_in_settings()
    if find_spec("celery") is not None:
        from .refusing_broker import refuse_broker

        refuse_broker()


def _refuse_sockets(event: str, args: tuple[Any, ...]) -> None:
    what = _SOCKET_EVENTS.get(event)
    if what is None or (event in _LOOK_UPS and _is_here(args[0])) or (event == "socket.bind" and _asks(args[1])):
        return
    raise refuse(f"a connection to {args[1]!r}" if event == "socket.connect" else what)


def _asks(address: Any) -> bool:
    """Whether nothing is served, and only asked whether there is IPv6, as urllib3 does when it is imported."""
    return isinstance(address, tuple) and address[:2] == ("::1", 0)


def _is_here(host: Any) -> bool:
    """Whether no name server has to be asked for it."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    if name in ("", "localhost", socket.gethostname()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse_in_settings() -> None:
    """Replace what Django's settings name, each time that a settings module is read, before anybody sees them."""
    from django.conf import Settings

    # --- private API: django.conf.Settings, seen on Django 5.2–6.1: it copies the values of the module, so that what
    # --- is changed here changes nothing for code that imports the settings module itself.
    original = Settings.__init__

    def read(self: Any, settings_module: str) -> None:
        original(self, settings_module)
        replace_settings(self)

    Settings.__init__ = read
    # --- end of private API


def replace_settings(settings: Any) -> None:
    """Put refusing engines, caches and layers in the place of those that the settings name.

    Args:
        settings: the object that holds them as attributes.
    """
    from .refusing_cache import BACKEND as CACHE
    from .refusing_engine.base import ENGINE, VENDOR_OPTION
    from .refusing_layer import BACKEND as LAYER

    databases: Mapping[str, Any] = getattr(settings, "DATABASES", None) or {}
    caches: Mapping[str, Any] = getattr(settings, "CACHES", None) or {}
    layers: Mapping[str, Any] = getattr(settings, "CHANNEL_LAYERS", None) or {}
    ORIGINALS.update(
        databases={alias: str(values.get("ENGINE", "")) for alias, values in databases.items()},
        caches={alias: str(values.get("BACKEND", "")) for alias, values in caches.items()},
        channel_layers={alias: str(values.get("BACKEND", "")) for alias, values in layers.items()},
    )
    _replaced.update(CACHES=caches, CHANNEL_LAYERS=layers)
    settings.DATABASES = {
        alias: {**values, "ENGINE": ENGINE, VENDOR_OPTION: vendor_of(str(values.get("ENGINE", "")))}
        for alias, values in {"default": {}, **databases}.items()
    }
    settings.CACHES = {alias: {"BACKEND": CACHE} for alias in {"default": None, **caches}}
    if layers:
        settings.CHANNEL_LAYERS = {alias: {"BACKEND": LAYER} for alias in layers}


def vendor_of(engine: str) -> str:
    """What ``connection.vendor`` is with an engine, by the name of its module; ``unknown`` where that does not say."""
    return next((vendor for part, vendor in _VENDORS.items() if part in engine.lower()), "unknown")
