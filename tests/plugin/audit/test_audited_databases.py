"""On each kind of database the same is found, and the test's own run is as without the audit."""

from __future__ import annotations

import os

import pytest
from test_audited_tasks import EXPECTED, judged

TRANSACTIONAL = """
    import pytest
    from parcels import tasks
    from parcels.models import Parcel

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("task", [
        tasks.counts_in_sql, tasks.tells_on_commit, tasks.two_labels, tasks.two_labels_or_none,
        tasks.tells_and_then_marks,
    ], ids=lambda task: task.__name__)
    def test_it(task):
        first = Parcel.objects.create()
        task.delay(first.pk)
        assert Parcel.objects.create().pk == first.pk + 1
        assert Parcel.objects.get(pk=first.pk).tries == (1 if task is tasks.counts_in_sql else 0)
"""


@pytest.fixture(params=["memory", "file", "psycopg", "psycopg2"])
def stored(request, parcels, tmp_path):
    """The project on each kind of database; Django takes psycopg 2 where it finds no psycopg 3."""
    if request.param == "file":
        name = str(tmp_path / "test.sqlite3")
        parcels.project.settings(f'DATABASES["default"].update(NAME={name!r}, TEST={{"NAME": {name!r}}})')
    elif request.param != "memory":
        server = request.getfixturevalue("postgres")
        found = server.settings("backchannel", TEST={"NAME": f"test_audit_{os.getpid()}"})
        parcels.project.settings(f'DATABASES["default"] = {found!r}')
    if request.param == "psycopg2":
        request.getfixturevalue("without")("psycopg")
        parcels.project.settings(
            "from django.db.backends.postgresql.psycopg_any import is_psycopg3; assert not is_psycopg3"
        )
    return parcels


def test_the_same_is_found(stored):
    result, found = stored.audit()
    result.assert_outcomes(passed=20)
    assert judged(found) == EXPECTED


def test_without_a_transaction_of_the_test(stored):
    result, found = stored.test(TRANSACTIONAL)
    result.assert_outcomes(passed=5)
    assert judged(found) == {
        "counts_in_sql": "BREAKS",
        "tells_and_then_marks": "BREAKS",
        "tells_on_commit": "BREAKS",
        "two_labels": "BREAKS",
        "two_labels_or_none": "NO DIFFERENCE FOUND",
    }


GUARDED = """
    from contextlib import contextmanager

    from celery import shared_task
    from django.db import connection, connections, transaction
    from django.db.models import F
    from parcels.models import Parcel

    ALLOWED = []

    def guard(execute, sql, params, many, context):
        assert ALLOWED, sql
        return execute(sql, params, many, context)

    class Replica:
        alias = "replica"
        needs_rollback = True  # as the last test left it: nobody looks at it

        def __init__(self, writer):
            self.writer = writer

        def __getattr__(self, name):
            return getattr(self.writer, name)

    @shared_task
    def counts(pk):
        ALLOWED.append(1)
        with transaction.atomic():
            Parcel.objects.filter(pk=pk).update(tries=F("tries") + 1)
        ALLOWED.clear()

    def test_it(db):
        parcel = Parcel.objects.create()
        connections["replica"] = Replica(connection)
        with connection.execute_wrapper(guard):
            counts.delay(parcel.pk)
        parcel.refresh_from_db()
        assert parcel.tries == 1
"""


def test_a_guarded_connection_of_two_aliases(parcels):
    parcels.project.settings('DATABASES["replica"] = DATABASES["default"] | {"TEST": {"MIRROR": "default"}}')
    result, found = parcels.test(GUARDED)
    result.assert_outcomes(passed=1)
    task = found["counts"]
    assert (task["verdict"], task["reason"]) == ("BREAKS", "")
    seen = [effect.rpartition(" (")[0] for call in task["calls"] for effect in call["effects"]]
    assert seen == ["UPDATE parcels_parcel", "COMMIT"]
