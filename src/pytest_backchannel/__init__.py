"""Test what a Django project does behind the request: Celery tasks, Channels consumers, WebSockets."""

from __future__ import annotations

__version__ = "0.1.0"
