"""One connection, lent to every thread of an async test."""

from __future__ import annotations
