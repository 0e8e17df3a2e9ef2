"""No outcome of any test is changed by the audit, and nothing of it is left behind."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

SUITE = """
    import asyncio, os, subprocess, threading, warnings
    import pytest
    from celery import shared_task
    from django.core import mail
    from django.db import transaction
    from parcels import tasks
    from parcels.models import Label, Parcel

    @shared_task
    def raises(pk):
        Label.objects.create(parcel_id=pk, text="raises")
        raise ValueError("broken")

    @shared_task(bind=True, max_retries=2, default_retry_delay=0)
    def retries(self, pk):
        Label.objects.create(parcel_id=pk, text="retries")
        raise self.retry(exc=ValueError("later"))

    @shared_task(autoretry_for=(KeyError,), max_retries=1, default_retry_delay=0)
    def retries_by_itself(pk):
        Label.objects.create(parcel_id=pk, text="by itself")
        raise KeyError("later")

    @shared_task
    def exits():
        raise SystemExit(3)

    @shared_task
    def catches_all(pk):
        try:
            Label.objects.create(parcel_id=pk, text="x")
            subprocess.run(["true"], check=True)
        except BaseException:
            Parcel.objects.filter(pk=pk).update(state="failed")

    @pytest.fixture
    def parcel(db):
        return Parcel.objects.create()

    def test_fails(parcel):
        tasks.prints_a_label.delay(parcel.pk)
        assert Label.objects.count() == 7

    def test_skips(parcel):
        tasks.prints_a_label.delay(parcel.pk)
        pytest.skip("it is")

    @pytest.mark.xfail(strict=True)
    def test_fails_as_expected(parcel):
        tasks.prints_a_label.delay(parcel.pk)
        assert not Label.objects.exists()

    def test_raises(parcel):
        result = raises.delay(parcel.pk)
        assert isinstance(result.result, ValueError) and Label.objects.count() == 1

    def test_raises_in_a_call(parcel):
        with pytest.raises(ValueError, match="broken"):
            raises(parcel.pk)

    def test_retries(parcel):
        result = retries.delay(parcel.pk)
        assert isinstance(result.result, ValueError) and Label.objects.count() == 3

    def test_retries_by_itself(parcel):
        retries_by_itself.delay(parcel.pk)
        assert Label.objects.count() == 2

    def test_exits():
        with pytest.raises(SystemExit):
            exits()

    def test_catches_all(parcel):
        catches_all.delay(parcel.pk)
        parcel.refresh_from_db()
        assert parcel.state == "packed"

    def test_queries_are_counted(parcel, django_assert_num_queries):
        with django_assert_num_queries(1):
            tasks.counts_in_sql.delay(parcel.pk)

    def test_outbox_and_callbacks(parcel, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True) as callbacks:
            tasks.tells_on_commit.delay(parcel.pk)
        assert (len(callbacks), len(mail.outbox)) == (1, 1)

    def test_beside_a_thread(parcel):
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                tasks.counts_in_sql.delay(parcel.pk)
            assert not seen
        finally:
            end.set()
            thread.join()
        parcel.refresh_from_db()
        assert parcel.tries == 1

    def test_no_child_is_left():
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_in_a_transaction_that_is_broken(parcel):
        from django.db import IntegrityError
        with transaction.atomic():
            try:
                Parcel.objects.create(pk=parcel.pk)
            except IntegrityError:
                pass
            with pytest.raises(transaction.TransactionManagementError):
                tasks.counts_in_sql(parcel.pk)
            transaction.set_rollback(True)

    @pytest.mark.asyncio
    async def test_in_a_loop(db):
        parcel = await Parcel.objects.acreate()
        await asyncio.to_thread(tasks.counts_in_sql, parcel.pk)
        await parcel.arefresh_from_db()
        assert parcel.tries == 1

    def test_in_the_queue(parcel, task_queue):
        tasks.tells_and_then_marks.delay(parcel.pk)
        assert len(mail.outbox) == 0
        task_queue.run()
        assert len(mail.outbox) == 1
"""


def outcomes(parcels, target):
    """The outcome of each test, from pytest's own file."""
    text = (parcels.project.path / target).read_text()
    return {
        case.get("name"): [
            (child.tag, (child.get("message") or "")[:80]) for child in case if child.tag != "properties"
        ]
        for case in ElementTree.fromstring(text).iter("testcase")
    }


def test_outcomes_are_as_without(parcels):
    parcels.project.write("test_it.py", SUITE)
    parcels.audit("test_it.py", "--junitxml=without.xml", "--backchannel-audit-json=", flag="")
    result, found = parcels.audit("test_it.py", "--junitxml=with.xml")
    result.assert_outcomes(passed=13, failed=1, skipped=1, xfailed=1)
    assert outcomes(parcels, "with.xml") == outcomes(parcels, "without.xml")
    assert found["raises"]["reason"] == "it raises ValueError: broken"
    assert found["retries"]["reason"].startswith("it asks for a retry, at test_it.py:")
    assert found["catches_all"]["reason"].startswith("it starts a process (subprocess.Popen), at test_it.py:")
    assert found["exits"]["reason"] == "it ends the process"
    assert found["counts_in_sql"]["verdict"] == found["prints_a_label"]["verdict"] == "BREAKS"
    assert found["tells_and_then_marks"]["verdict"] == "BREAKS"


def test_without_the_flag_nothing_of_it_is_imported(parcels):
    parcels.project.test(
        """
        import sys
        def test_it():
            assert not [name for name in sys.modules if name.startswith("pytest_backchannel.questions.audit")]
        """
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [0, 2])
def test_with_workers_it_is_the_same(parcels, workers):
    arguments = ["-p", "xdist", "-n", str(workers)] if workers else []
    result, found = parcels.audit("test_parcels.py", *arguments)
    result.assert_outcomes(passed=20)
    assert {task["verdict"] for task in found.values()} == {"BREAKS", "LOOK", "NO DIFFERENCE FOUND"}
    result.stdout.fnmatch_lines(["19 of 19 tasks that ran are audited, of 19 that there are: 19 ways*"])


def test_allowed_by_a_marker_and_by_the_option(parcels):
    parcels.ini("backchannel_audit_allow =", "    parcels.tasks.counts_*: only a toy")
    result, found = parcels.test(
        """
        import pytest
        from parcels import tasks
        from parcels.models import Parcel

        @pytest.mark.allow_audit("parcels.tasks.prints_a_label", reason="two labels are fine")
        def test_it(db):
            parcel = Parcel.objects.create()
            tasks.prints_a_label(parcel.pk)
            tasks.counts_in_sql(parcel.pk)
        """
    )
    result.assert_outcomes(passed=1)
    assert {name: (task["verdict"], task["reason"]) for name, task in found.items()} == {
        "counts_in_sql": ("ALLOWED", "only a toy"),
        "prints_a_label": ("ALLOWED", "two labels are fine"),
    }
    result.stdout.fnmatch_lines(["ALLOWED (2):", "    parcels.tasks.counts_in_sql: only a toy"])


def test_only_what_is_asked_for(parcels):
    for kinds, expected in (("twice", "NO DIFFERENCE FOUND"), ("crash", "BREAKS")):
        _, found = parcels.audit("-k", "tells_and_then_marks", flag=f"--backchannel-audit={kinds}")
        assert found["tells_and_then_marks"]["verdict"] == expected
    _, found = parcels.audit("-k", "counts_in_sql", flag="--backchannel-audit=crash")
    assert found["counts_in_sql"]["verdict"] == "NO DIFFERENCE FOUND"


def test_a_budget_that_is_spent_is_said(parcels):
    parcels.ini("backchannel_audit_suite_seconds = 0.0001")
    result, found = parcels.audit()
    result.assert_outcomes(passed=20)
    reasons = {task["reason"] for task in found.values() if task["verdict"] == "NOT AUDITED"}
    assert reasons == {"no time was left for it (backchannel_audit_suite_seconds)"}


def test_the_file_of_a_finding_has_a_test_to_paste(parcels):
    _, found = parcels.audit("-k", "two_labels or prints_a_label")
    [cause] = found["two_labels"]["causes"]
    assert "task_queue.fail_write(nth=2)" in cause["paste"]
    compile(cause["paste"], "paste", "exec")
    [cause] = found["prints_a_label"]["causes"]
    assert "task_queue.redeliver()" in cause["paste"]
    assert json.dumps(found)


def test_the_tests_to_paste_show_the_findings(parcels):
    _, found = parcels.audit("-k", "two_labels or tells_and_then_looks")
    pasted = [found[name]["causes"][0]["paste"] for name in ("two_labels", "tells_and_then_looks")]
    wrong = ["Label.objects.count() == 1", "len(mailoutbox) == 2"]
    head = "from parcels.models import Label, Parcel\nfrom parcels.tasks import *\n\n"
    tests = [
        text.replace("(...)", "(Parcel.objects.create().pk)").replace("assert ...", f"assert {what}")
        for text, what in zip(pasted, wrong, strict=True)
    ]
    text = head + "\n\n".join(tests).replace("db, task_queue", "db, task_queue, mailoutbox")
    parcels.project.test(text).assert_outcomes(passed=2)
