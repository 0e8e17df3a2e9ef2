"""BC6xx: limits that settings leave to what a library has."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ....source.reading.source_file import text_of
from ...checked_file import is_test, is_test_settings
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule
from .production_settings import MemoryLayerInProduction, backend_of_layers, layers_assigned

_LIMITS = ("capacity", "expiry", "channel_capacity")


class MailWithoutTimeout(TreeRule):
    """BC608."""

    code = "BC608"
    name = "mail-without-timeout"
    summary = "Mail goes to a server, and no `EMAIL_TIMEOUT` is set."
    why = "Django has none: a mail server that takes the connection and does not answer holds a worker for good."
    fix = "`EMAIL_TIMEOUT = 10` (from Django 6.1 on: `timeout` in the `OPTIONS` of `MAILERS`)."
    path = "config/settings/production.py"
    page = "reference/production-settings.md"
    finding = "mail_timeout"
    wrong = """
EMAIL_HOST = "mail.example.com"
"""
    right = wrong + "EMAIL_TIMEOUT = 10\n"

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where a settings module names the server, none sends mail in a way of its own, and no text has a time-out."""
        if tree.says(b"EMAIL_TIMEOUT", b"MAILERS"):
            return
        own = [
            one
            for one in tree.index.settings
            if one.name == "EMAIL_BACKEND" and "django.core.mail.backends.smtp" not in one.source
            if not is_test(one.place.path) and not is_test_settings(one.place.path)
        ]
        for setting in () if own else tree.index.settings:
            by_test = is_test(setting.place.path) or is_test_settings(setting.place.path)
            if setting.name == "EMAIL_HOST" and not by_test:
                yield setting.place, "a mail server that does not answer holds a worker for good: no EMAIL_TIMEOUT"
                return


class LayerLimitsUnsaid(TreeRule):
    """BC609."""

    code = "BC609"
    name = "layer-limits-unsaid"
    summary = "The channel layer says neither how many messages may wait nor for how long."
    why = (
        "channels-redis keeps 100 for each channel, and each for 60 s: of a burst that a slow client does not read, "
        "the rest is dropped without an error, and nobody has decided so."
    )
    fix = '`"capacity"` and `"expiry"` in `CONFIG`, by what the slowest client may have waiting.'
    path = "config/settings/production.py"
    page = "reference/channel-layer.md"
    finding = "layer_capacity"
    wrong = """
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": "redis://cache:6379", "socket_timeout": None}]},
    }
}
"""
    right = MemoryLayerInProduction.right

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of layers that are written out, in settings that are not the tests'."""
        for setting in tree.index.settings:
            path = setting.place.path
            file = tree.file(path) if setting.name == "CHANNEL_LAYERS" else None
            if file is None or is_test(path) or is_test_settings(path):
                continue
            for value in layers_assigned(file):
                for backend, layer in backend_of_layers(value):
                    if backend == "channels_redis.core.RedisChannelLayer" and _is_silent(layer):
                        yield file.source.place(layer), "capacity (100) and expiry (60 s) are left to channels-redis"


def _is_silent(layer: ast.Dict) -> bool:
    """Whether a layer is written out, and has none of the limits."""
    given = {text_of(key): value for key, value in zip(layer.keys, layer.values, strict=True)}
    config = given.get("CONFIG")
    if None in given or not isinstance(config, ast.Dict | None):
        return False
    keys = {text_of(key) for key in config.keys} if config is not None else set()
    return None not in keys and not keys & set(_LIMITS)
