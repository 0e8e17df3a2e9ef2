"""The async-safe minimum, and what keeps tests fast and off the disk."""

import os
from pathlib import Path
from tempfile import gettempdir

from .base import *  # noqa: F403
from .base import MIDDLEWARE
from .mail import mail_settings

CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_BROKER_URL = "memory://"
CELERY_RESULT_BACKEND = "cache+memory://"

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}

# Disable real outbound services in tests
globals().update(mail_settings("locmem"))

SECRET_KEY = "tests only"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
# A file, for a worker process to see it too; of this run alone, for two runs not to meet.
TEST_DATABASE = Path(gettempdir()) / f"example-test-{os.getpid()}.sqlite3"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "TEST": {"NAME": str(TEST_DATABASE)}}
}
STORAGES = {"default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Signing in is out of the way of tests that are about something else, as CSRF is in Django's test client.
# tests/test_access.py puts it back and tries every page.
MIDDLEWARE = [name for name in MIDDLEWARE if not name.endswith(".LoginRequiredMiddleware")]
