"""What there is of mail, other clients, channel layers and caches, as plain data without hosts, names and secrets."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from . import guards
from .waiting_calls import waiting_calls

MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
LOCAL_CACHES = frozenset(
    {"django.core.cache.backends.locmem.LocMemCache", "django.core.cache.backends.dummy.DummyCache"}
)


def site_settings() -> dict[str, Any]:
    """The mailers, the layers and the caches, by their names, and the calls that may wait for ever.

    A mailer has ``backend``, ``smtp`` (whether it is Django's for SMTP, or derives from it), ``configured`` (whether
    the project has said where its server is) and ``timeout``; a layer ``backend``, ``memory`` (whether it lives in one
    process), ``read_timeout`` and ``blocks_for`` (both in seconds, None where there is none or it is not known) and
    ``capacity`` (None where it is left as it is); a cache ``backend`` and ``local`` (whether no other process sees it).
    """
    return {
        "mail": _mailers(),
        "waiting_calls": waiting_calls(),
        "layers": {alias: _layer(values) for alias, values in guards.replaced("CHANNEL_LAYERS").items()},
        "caches": {
            alias: {"backend": (backend := str(values.get("BACKEND", ""))), "local": backend in LOCAL_CACHES}
            for alias, values in guards.replaced("CACHES").items()
        },
    }


def _mailers() -> dict[str, Any]:
    from django.conf import settings

    # MAILERS from Django 6.1 on, which refuses both kinds; EMAIL_* before.
    mailers = getattr(settings, "MAILERS", None) or {}
    if isinstance(mailers, Mapping) and mailers:
        options = {alias: values.get("OPTIONS") or {} for alias, values in mailers.items()}
        return {
            str(alias): _mailer(
                str(values.get("BACKEND", "")), bool(options[alias].get("host")), options[alias].get("timeout")
            )
            for alias, values in mailers.items()
        }
    backend, timeout = (getattr(settings, name, None) for name in ("EMAIL_BACKEND", "EMAIL_TIMEOUT"))
    return {"default": _mailer(str(backend or ""), settings.is_overridden("EMAIL_HOST"), timeout)}


def _mailer(backend: str, configured: bool, timeout: Any) -> dict[str, Any]:
    from django.core.mail.backends.smtp import EmailBackend

    # smtplib takes the time-out of all sockets where none is given.
    known = timeout if isinstance(timeout, int | float) else socket.getdefaulttimeout()
    kind = _class(backend)
    return {
        "backend": backend,
        "smtp": kind is not None and issubclass(kind, EmailBackend),
        "configured": configured,
        "timeout": known,
    }


def _layer(values: Mapping[str, Any]) -> dict[str, Any]:
    backend = str(values.get("BACKEND", ""))
    kind = _class(backend)
    memory = _class(MEMORY_LAYER)
    return {
        "backend": backend,
        "memory": kind is not None and memory is not None and issubclass(kind, memory),
        "read_timeout": _read_timeout(kind, values.get("CONFIG") or {}),
        "blocks_for": getattr(kind, "brpop_timeout", None),
        "capacity": (values.get("CONFIG") or {}).get("capacity"),
    }


def _class(path: str) -> type[Any] | None:
    from django.utils.module_loading import import_string

    try:
        found = import_string(path)
    except Exception:  # of the test environment, which may lack what production has
        return None
    return found if isinstance(found, type) else None


# --- private API: channels_redis.utils.decode_hosts and create_pool, seen on channels-redis 4.2–4.3, and what a
# --- connection of redis.asyncio has as socket_timeout, seen on redis-py 5–8: nothing is connected for it.


def _read_timeout(kind: type[Any] | None, config: Mapping[str, Any]) -> float | None:
    """After how long a read of a layer of channels-redis gives up, in seconds; None for never, or not known."""
    if kind is None or getattr(kind, "brpop_timeout", None) is None:
        return None
    try:
        from channels_redis.utils import create_pool, decode_hosts

        timeouts = [create_pool(host).make_connection().socket_timeout for host in decode_hosts(config.get("hosts"))]
    except Exception:  # another version, or hosts that it refuses: nothing is known then
        return None
    known = [float(timeout) for timeout in timeouts if isinstance(timeout, int | float)]
    return min(known, default=None)


# --- end of private API
