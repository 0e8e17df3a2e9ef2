"""What of Django is replaced while connections are shared, and put back after."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

from ..restoring import replaced
from .shared_connection import SharedConnection

#: Finds the shared connection of an alias; None where it is not shared.
Find: TypeAlias = Callable[[str], SharedConnection | None]

# --- private API: django.db.transaction.Atomic and TestCase.captureOnCommitCallbacks, Django 5.2–6.1 ---------------
# A savepoint belongs to the thread that is inside its block, which only the entering and leaving of Atomic shows.
# Django's capture of callbacks reads the connection's queue, and nothing says that it is going on.


@contextlib.contextmanager
def atomic_blocks(find: Find) -> Generator[None]:
    """Let the shared connections know who enters and leaves ``transaction.atomic()``."""
    from django.db import DEFAULT_DB_ALIAS
    from django.db.transaction import Atomic

    enter, leave = Atomic.__enter__, Atomic.__exit__

    def __enter__(self: Any) -> None:
        if shared := find(self.using or DEFAULT_DB_ALIAS):
            shared.enter(lambda: enter(self))
        else:
            enter(self)

    def __exit__(self: Any, kind: Any, error: Any, traceback: Any) -> None:
        if shared := find(self.using or DEFAULT_DB_ALIAS):
            shared.leave(lambda: leave(self, kind, error, traceback), failed=kind is not None)
        else:
            leave(self, kind, error, traceback)

    with replaced(Atomic, "__enter__", __enter__), replaced(Atomic, "__exit__", __exit__):
        yield


@contextlib.contextmanager
def captures(find: Find) -> Generator[None]:
    """Let the shared connections know when ``captureOnCommitCallbacks`` takes their callbacks over."""
    from django.db import DEFAULT_DB_ALIAS
    from django.test import TestCase

    plain: Any = TestCase.__dict__["captureOnCommitCallbacks"]

    @contextlib.contextmanager
    def captureOnCommitCallbacks(cls: Any, *, using: str = DEFAULT_DB_ALIAS, execute: bool = False) -> Generator[Any]:
        shared = find(using)
        with (
            shared.captured() if shared else contextlib.nullcontext(),
            plain.__get__(None, cls)(using=using, execute=execute) as callbacks,
        ):
            yield callbacks

    with replaced(TestCase, "captureOnCommitCallbacks", classmethod(captureOnCommitCallbacks)):
        yield
