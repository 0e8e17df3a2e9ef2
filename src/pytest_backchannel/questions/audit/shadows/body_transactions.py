"""Transactions in a shadow, as production has them: the body's outermost block commits, and then runs ``on_commit``.

The test's own transaction is around it, and is not the body's. A death loses what is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ....active import tracked
from ..effects.effect_log import note, running
from .parents_databases import open_connections


class _Depth(NamedTuple):
    """How deep a connection is where the body begins."""

    blocks: int
    savepoints: int
    callbacks: int


_depths: dict[str, _Depth] = tracked("where a body begins", {})


def begin_body() -> None:
    """A body begins: what is open now is not its own."""
    _depths.clear()
    for connection in open_connections():
        _depths[connection.alias] = _Depth(
            len(connection.atomic_blocks), len(connection.savepoint_ids), len(connection.run_on_commit)
        )


def in_body_transaction() -> bool:
    """Whether the body is inside of a transaction of its own."""
    return any(
        len(connection.atomic_blocks) > _depths[connection.alias].blocks
        for connection in open_connections()
        if connection.alias in _depths
    )


def lose_open_blocks() -> None:
    """The body's process is gone: so is what it did not commit, and what waits for the commit."""
    for connection in open_connections():
        depth = _depths.get(connection.alias)
        if depth is None:
            continue
        if len(connection.atomic_blocks) > depth.blocks:
            sid = next((sid for sid in connection.savepoint_ids[depth.savepoints :] if sid), None)
            if sid is not None:
                with connection.cursor() as cursor:
                    cursor.execute(connection.ops.savepoint_rollback_sql(sid))
                    cursor.execute(connection.ops.savepoint_commit_sql(sid))
        del connection.atomic_blocks[depth.blocks :]
        del connection.savepoint_ids[depth.savepoints :]
        del connection.run_on_commit[depth.callbacks :]
        connection.needs_rollback = False
        connection.rollback_exc = None


# --- private API: django.db.transaction.Atomic and BaseDatabaseWrapper.run_on_commit, atomic_blocks and savepoint_ids,
# --- Django 5.2–6.1. tests/plugin/audit/test_effects_of_bodies.py fails where they are built differently.


def install() -> None:
    """From now on, in this process."""
    from django.db import transaction
    from django.db.backends.base.base import BaseDatabaseWrapper

    on_commit, enter, leave = BaseDatabaseWrapper.on_commit, transaction.Atomic.__enter__, transaction.Atomic.__exit__

    def at_depth(connection: Any) -> bool:
        depth = _depths.get(connection.alias)
        return depth is not None and len(connection.atomic_blocks) == depth.blocks

    def shadow_on_commit(connection: Any, func: Any, robust: bool = False) -> None:
        if at_depth(connection):
            _late(func, robust)  # as in autocommit mode
        else:
            on_commit(connection, func, robust)

    def shadow_enter(block: Any) -> None:
        connection = transaction.get_connection(block.using)
        if at_depth(connection):
            block.savepoint = True  # it is a transaction of its own in production: all of it is undone, or nothing
            log = running()
            if log is not None:
                log.begun = len(log.effects)
        enter(block)

    def shadow_leave(block: Any, kind: Any, error: Any, traceback: Any) -> None:
        leave(block, kind, error, traceback)
        connection = transaction.get_connection(block.using)
        if at_depth(connection):
            _ended(connection, committed=kind is None and not connection.needs_rollback)

    BaseDatabaseWrapper.on_commit = shadow_on_commit
    transaction.Atomic.__enter__, transaction.Atomic.__exit__ = shadow_enter, shadow_leave
    BaseDatabaseWrapper.close = _stays
    BaseDatabaseWrapper.close_if_unusable_or_obsolete = _stays


def _stays(connection: Any) -> None:
    """The parent has the connection, too: no shadow closes it."""


def _ended(connection: Any, *, committed: bool) -> None:
    """The body's outermost block has ended."""
    start = _depths[connection.alias].callbacks
    callbacks = connection.run_on_commit[start:]
    del connection.run_on_commit[start:]
    if not committed:
        return
    log = running()
    if log is not None and any(effect.open for effect in log.effects[log.begun :]):
        note("commit", "COMMIT")
    for entry in callbacks:
        _late(entry[1], entry[2])


# --- end of private API


def _late(callback: Callable[[], Any], robust: bool) -> None:
    log = running()
    if log is not None:
        log.late += 1
    try:
        callback()
    except Exception:
        if not robust:
            raise
    finally:
        if log is not None:
            log.late -= 1
