"""Minimal Django settings for the tests of single modules: enough for consumers, sessions and users."""

from __future__ import annotations

from support.django_settings import configure

configure()
