"""After every case: each table is empty, seen by a new connection, and nothing of the sharing is left."""

import threading

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    result = yield
    if nextitem is None:
        return result  # the databases are gone
    leaks = _leaks(item)
    assert not leaks, f"{item.nodeid} left behind: {leaks}"
    return result


def _leaks(item):
    from asgiref.local import Local
    from depot.models import Item, Shelf
    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.transaction import Atomic
    from django.test import TestCase
    from pytest_django.plugin import blocking_manager_key

    found = []
    if not isinstance(connections._connections, Local):
        found.append("the store of connections")
    if Atomic.__enter__.__module__ != "django.db.transaction" or Atomic.__exit__.__module__ != "django.db.transaction":
        found.append("Atomic")
    if TestCase.captureOnCommitCallbacks.__func__.__module__ != "django.test.testcases":
        found.append("captureOnCommitCallbacks")
    in_class = getattr(item, "cls", None) and issubclass(item.cls, TestCase)
    with item.config.stash[blocking_manager_key].unblock():
        for alias in connections:
            connection = connections[alias]
            if connection.in_atomic_block and not in_class:
                found.append(f"{alias}: a transaction")
            if connection.execute_wrappers or connection.allow_thread_sharing:
                found.append(f"{alias}: a sharing")
            overridden = {"close", "close_if_unusable_or_obsolete", "ensure_connection", "on_commit"} & set(
                vars(connection)
            )
            if overridden:
                found.append(f"{alias}: {overridden}")
            if connection.in_atomic_block and connection.vendor == "sqlite":
                continue  # the transaction of the class locks the tables; after its last test it is gone
            fresh = connections.create_connection(alias)
            try:
                with fresh.cursor() as cursor:
                    for model in (Item, Shelf):
                        cursor.execute(f"SELECT COUNT(*) FROM {model._meta.db_table}")
                        if rows := cursor.fetchone()[0]:
                            found.append(f"{alias}: {rows} rows of {model.__name__}")
            finally:
                BaseDatabaseWrapper.close(fresh)
    found += [f"thread {t.name}" for t in threading.enumerate() if t.name.startswith("case-")]
    return found
