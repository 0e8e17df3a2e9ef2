"""A cache that answers nothing: what ``CACHES[...]["BACKEND"]`` says in a child process."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.base import BaseCache

from .refusals import refusing

BACKEND = f"{__name__}.RefusingCache"
"""For the setting ``CACHES``."""


class RefusingCache(BaseCache):
    """Every use is refused; ``get_or_set``, ``incr`` and the methods for many keys use these."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    add = refusing("a use of a cache")
    get = refusing("a use of a cache")
    set = refusing("a use of a cache")
    touch = refusing("a use of a cache")
    delete = refusing("a use of a cache")
    has_key = refusing("a use of a cache")
    clear = refusing("a use of a cache")
