"""Sharing as a plain context manager, for those who do not use pytest; and what of Django's private API it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SCRIPT = """
    import asyncio
    import threading

    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connection, connections, transaction
    from shop.models import Order

    from pytest_backchannel.database import current_sharing, in_code_transaction, lend, share_connections
    from pytest_backchannel.errors import BackchannelError, SharedConnectionBusy

    call_command("migrate", run_syncdb=True, verbosity=0)
    before = connections._connections, transaction.Atomic.__enter__, dict(vars(connections["default"]))

    def refused(make):
        try:
            with make():
                pass
        except BackchannelError as error:
            return str(error)

    async def scenario():
        await Order.objects.acreate(reference="a")
        await asyncio.to_thread(Order.objects.create, reference="b")
        return await Order.objects.acount()

    def guarded():
        assert not in_code_transaction()
        with transaction.atomic():
            assert in_code_transaction()
            assert in_code_transaction("default")
            assert not in_code_transaction("other")
            seen = []
            thread = threading.Thread(target=lambda: seen.append(in_code_transaction()))
            thread.start()
            thread.join()
            assert seen == [False], "the block is this thread's"
        assert not in_code_transaction()

    assert lend is share_connections
    assert refused(share_connections).startswith("there is nothing to lend")
    with transaction.atomic():
        assert in_code_transaction()
        with share_connections("scenario") as sharing:
            assert current_sharing() is sharing
            assert refused(share_connections) == "the connections are lent already, to scenario"
            assert asyncio.run(scenario()) == 2
            guarded()
            own = connection.copy()
            connections["default"] = own
            assert connections["default"] is own
            del connections["default"]
        transaction.set_rollback(True)
    assert current_sharing() is None
    assert Order.objects.count() == 0

    for kind in (ZeroDivisionError, KeyboardInterrupt):
        try:
            with transaction.atomic(), share_connections():
                asyncio.run(scenario())
                raise kind
        except kind:
            pass
        assert Order.objects.count() == 0
    after = connections._connections, transaction.Atomic.__enter__, dict(vars(connections["default"]))
    assert before[:2] == after[:2]
    assert before[2].keys() == after[2].keys(), before[2].keys() ^ after[2].keys()
    print("all good")
"""


def test_share_connections_as_a_context_manager(project):
    project.write("script.py", dedent(SCRIPT))
    project.settings('DATABASES["default"]["NAME"] = "script.sqlite3"')
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "script.py"],
        cwd=project.path,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "all good"), done.stderr


def test_the_private_api_is_there():
    """Says which name of another project moved, before a test that depends on it fails obscurely."""
    from _pytest.fixtures import FixtureManager
    from asgiref.local import Local
    from celery import canvas
    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.transaction import Atomic
    from django.test import TestCase
    from pytest_django import fixtures

    assert isinstance(connections._connections, Local)
    assert {"__enter__", "__exit__"} <= set(vars(Atomic))
    assert isinstance(vars(TestCase)["captureOnCommitCallbacks"], classmethod)
    source = Path(fixtures.__file__).read_text()
    assert "def _django_db_helper(\n    request: " in source
    assert "_fixturemanager" in pytest.Session.__annotations__
    assert hasattr(FixtureManager, "getfixturedefs")
    assert "_from_testcase" in Path(Atomic.__init__.__code__.co_filename).read_text()
    attributes = {"atomic_blocks", "savepoint_ids", "run_on_commit", "execute_wrappers", "needs_rollback"}
    assert attributes <= set(BaseDatabaseWrapper.__init__.__code__.co_names)
    for workflow in ("_chain", "group", "_chord"):
        assert "apply_async" in vars(getattr(canvas, workflow))
