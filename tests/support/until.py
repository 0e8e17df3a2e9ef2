"""Waiting for what another process or thread does."""

from __future__ import annotations

import time


def until(condition, timeout: float, what: str):
    """The first true answer of ``condition()``; an AssertionError after so many seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {timeout:g} s")
