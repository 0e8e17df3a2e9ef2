"""What the command must never show, wherever it stands: in a URL of the settings, or in a library's error message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...masking import looks_secret
from ...servers.urls import secrets_in

# Wider than what looks secret in a text: a value that is hidden for nothing does no harm here.
_SECRET = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY")
_HOLDS_URLS = ("URL", "BACKEND", "BROKER", "LAYERS", "DATABASES", "CACHES", "DSN", "MAILERS", "STORAGES")
# A shorter one is a word of the messages themselves.
_SHORTEST = 4


def secrets_of(settings: Any, url: str) -> set[str]:
    """Every password in the URLs of the settings, and every value whose name says that it is secret.

    Args:
        settings: Django's settings, or a Celery configuration.
        url: the site, which may carry a login.
    """
    found = secrets_in(url) if url else set()
    celery = hasattr(settings, "maps")
    for name in list(settings) if celery else dir(settings):
        # Others hold no secret; and reading a deprecated setting warns.
        if isinstance(name, str) and any(part in name.upper() for part in (*_SECRET, *_HOLDS_URLS)):
            try:
                value = settings[name] if celery else getattr(settings, name)
            except Exception:  # what can't be read can't be shown either
                continue
            _collect(name.upper(), value, found, depth=0)
    return {secret for secret in found if len(secret) >= _SHORTEST}


def _collect(name: str, value: object, found: set[str], depth: int) -> None:
    if depth > 6:
        return
    if isinstance(value, str):
        for url in value.split(";"):
            if "://" in url:
                found |= secrets_in(url)
        if looks_secret(name) or any(part in name for part in _SECRET):
            found.add(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(str(key).upper(), inner, found, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            # Without the name: PASSWORD_HASHERS is a list of classes.
            _collect("", inner, found, depth + 1)
