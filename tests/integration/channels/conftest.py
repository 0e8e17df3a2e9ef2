"""Minimal Django settings: the scenarios are plain ASGI, and the client asks Django for the allowed hosts."""

from __future__ import annotations

import sys
from pathlib import Path

from support.django_settings import configure

sys.path.insert(0, str(Path(__file__).parent))

configure()
