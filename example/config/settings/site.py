"""`run_site.py`: production's processes on one machine, with SQLite, files for mail, and no TLS."""

import json
from os import environ
from pathlib import Path

from .base import BASE_DIR
from .mail import mail_settings

DATA = Path(environ.get("SITE_DATA", BASE_DIR / ".site"))
if (DATA / "site.json").exists():
    # The site runs: manage.py and `backchannel smoke` find its Redis here.
    environ.setdefault("REDIS_URL", json.loads((DATA / "site.json").read_text())["environment"]["REDIS_URL"])

from .production import *  # noqa: E402, F403

SECRET_KEY = (DATA / "secret-key").read_text() if (DATA / "secret-key").exists() else ""  # made by run_site.py
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEMO_DATA = True  # the command `demo_data` asks: it makes users whose password everybody knows

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "site.sqlite3",
        # Web server, worker and beat write to one file: wait for each other, and never upgrade a read lock.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
}
MEDIA_ROOT = DATA / "media"
globals().update(mail_settings("filebased", file_path=DATA / "mail"))

SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
SECURE_HSTS_SECONDS = 0
SECURE_PROXY_SSL_HEADER = None
