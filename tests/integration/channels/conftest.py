"""Minimal Django settings: the scenarios are plain ASGI, and the client asks Django for the allowed hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parent))

if not settings.configured:
    settings.configure(SECRET_KEY="integration", ALLOWED_HOSTS=["testserver"], INSTALLED_APPS=["channels"])
    django.setup()
