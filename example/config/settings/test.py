"""No test reaches a broker, Redis or a mail server, nor the disk but for the test database."""

import os
from pathlib import Path
from tempfile import gettempdir

from .base import *  # noqa: F403
from .base import MIDDLEWARE
from .mail import mail_settings

# Of these two addresses none is ever opened: a test that forgets its fixture stays in this process.
CELERY_BROKER_URL, CELERY_RESULT_BACKEND = "memory://", "cache+memory://"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
# Such a test runs its tasks at once, and gets their exceptions: unless it is told so, Celery keeps them in the result.
CELERY_TASK_EAGER_PROPAGATES = CELERY_TASK_ALWAYS_EAGER = True
# What is mailed can be read in pytest-django's mailoutbox.
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
