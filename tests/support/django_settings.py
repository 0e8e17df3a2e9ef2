"""One set of Django settings for all tests that use Django in the process of this suite.

They are configured once a process, by whichever module is collected first: so there can be only one set.
"""

from __future__ import annotations

import django
from django.conf import settings


def configure() -> None:
    """Configure Django, unless another module has done so."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="unit",
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "channels"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()
