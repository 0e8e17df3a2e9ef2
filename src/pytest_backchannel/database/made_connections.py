"""The connections that the calling thread has made, also where a test has replaced how Django tells them."""

from __future__ import annotations

from typing import Any


def made_connections() -> list[Any]:
    """They, of Django's own handler: a Mock in the place of ``connections.all`` is the test's, and is not called.

    Raises:
        ThreadOutlivedTest: this thread has outlived the test that it belongs to.
    """
    from django.db import connections

    handler: Any = type(connections)
    found: list[Any] = handler.all(connections, initialized_only=True)
    return found
