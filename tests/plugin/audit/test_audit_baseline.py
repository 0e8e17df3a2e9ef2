"""What a baseline knows is counted, what is new fails the run, and without one nothing fails."""

from __future__ import annotations

import sys

import pytest

TESTS = """
    import pytest
    from parcels import tasks
    from parcels.models import Parcel
    from shop.senders import enqueue

    @pytest.fixture
    def parcel(db):
        return Parcel.objects.create(address="jo@example.com")

    def test_label(parcel):
        tasks.prints_a_label.delay(parcel.pk)

    def test_sets(parcel):
        tasks.sets_the_state.delay(parcel.pk)

    def test_sends(db):
        enqueue()
"""
MORE = """
    def test_counts(parcel):
        tasks.counts_in_python.delay(parcel.pk)
"""
SENDERS = """
    from django.db import transaction

    from .tasks import add

    def enqueue():
        with transaction.atomic():
            add.delay(1, 2)
"""
KEYS = [
    "audit:parcels.tasks.prints_a_label#insert:parcels_label",
    "rollback:shop.tasks.add#enqueued_in_transaction@shop/senders.py",
]


@pytest.fixture
def site(parcels):
    parcels.project.write("shop/senders.py", SENDERS)
    return parcels


def write_baseline(site):
    path = site.project.path
    command = [sys.executable, "-m", "pytest_backchannel.cli", "report", "baseline", str(path / "audit.json")]
    written = site.project.pytester.run(*command)
    assert written.ret == 0
    text = written.stdout.str()
    (path / "baseline.txt").write_text(text)
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_what_is_new_fails_the_run_and_nothing_else_does(site):
    result, _ = site.test(TESTS)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("FAILED: *")
    assert write_baseline(site) == KEYS

    source = (site.project.path / "shop" / "senders.py").read_text()
    (site.project.path / "shop" / "senders.py").write_text(f'"""Its lines have moved."""\n\n{source}')
    result, found = site.test(TESTS, "--backchannel-baseline=baseline.txt")
    assert result.ret == 0
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["KNOWN, by the baseline (1): parcels.tasks.prints_a_label (1)", "*sent before the commit*", "known, by *: 1"]
    )
    assert found["prints_a_label"]["verdict"] == "BREAKS"
    assert found["prints_a_label"]["causes"][0]["in_baseline"]

    more = SENDERS + "\n    def again():\n        with transaction.atomic():\n            add.delay(3, 4)\n"
    site.project.write("shop/senders.py", more)
    tests = TESTS.replace("import enqueue", "import again, enqueue").replace("enqueue()", "enqueue(), again()") + MORE
    result, _ = site.test(tests, "--backchannel-baseline=baseline.txt", "-n2")
    assert result.ret == 1
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "BREAKS parcels.tasks.counts_in_python *",
            "KNOWN, by the baseline (1): parcels.tasks.prints_a_label (1)",
            "FAILED: 1 finding (BREAKS) not in baseline.txt.",
            "1 line sends inside a transaction*",
            "known, by the baseline: 1 more",
            "FAILED: 1 line sends inside a transaction, and is not in baseline.txt.",
        ]
    )


def test_what_is_mended_is_told(site):
    (site.project.path / "baseline.txt").write_text(
        "audit:parcels.tasks.sets_the_state#mail\naudit:parcels.tasks.other#mail\ntask:shop.tasks.gone#run\n"
    )
    only = TESTS.replace("def test_label", "def label").replace("def test_sends", "def sends")
    result, _ = site.test(only, "--backchannel-baseline=baseline.txt", "--backchannel-report=term")
    result.stdout.fnmatch_lines(
        [
            "1 of the baseline closed, such as task:shop.tasks.gone#run: *",
            "1 of the baseline not found any more, such as audit:parcels.tasks.sets_the_state#mail: *",
        ],
        consecutive=False,
    )


def test_a_baseline_that_is_not_there(parcels):
    result, _ = parcels.test("def test_it(): pass", "--backchannel-baseline=no.txt")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--backchannel-baseline: the baseline no.txt can't be read*"])


def test_a_file_that_cannot_be_written_fails_the_run(parcels):
    blocked = parcels.project.path / "blocked"
    blocked.write_text("")
    result, _ = parcels.audit("-k", "prints_a_label", f"--backchannel-audit-json={blocked}/audit.json")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["FAILED: *blocked/audit.json can't be written: *"])
