"""The audit as a page: beside the report, or alone; and a share of tasks that it must have audited."""

from __future__ import annotations

import pytest

TESTS = """
    import pytest
    from parcels import tasks
    from parcels.models import Parcel
    from shop.senders import enqueue

    @pytest.fixture
    def parcel(db):
        return Parcel.objects.create(address="jo@example.com")

    @pytest.mark.parametrize("name", ["<b>bold</b>"])
    def test_label(parcel, name):
        tasks.prints_a_label.delay(parcel.pk)

    def test_sets(parcel):
        tasks.sets_the_state.delay(parcel.pk)

    def test_sends(db):
        enqueue()
"""
SENDERS = """
    from django.db import transaction

    from .tasks import add

    def enqueue():
        with transaction.atomic():
            add.delay(1, 2)
"""


@pytest.fixture
def site(parcels):
    parcels.project.write("shop/senders.py", SENDERS)
    parcels.project.write("test_it.py", TESTS)
    return parcels.project


def parts(page):
    return [name for name in ("gaps", "audit", "sends", "items", "tests") if f'<section id="{name}"' in page]


def test_the_report_shows_the_audit_beside_it(site):
    result = site.run("--backchannel-audit", "--backchannel-report=html", "-n2", "test_it.py")
    result.assert_outcomes(passed=3)
    page = (site.path / "backchannel-report" / "index.html").read_text(encoding="utf-8")
    assert parts(page) == ["gaps", "audit", "sends", "items", "tests"]
    audit = page[page.index('<section id="audit"') : page.index('<section id="items"')]
    assert "test_label[&lt;b&gt;bold&lt;/b&gt;]" in audit
    assert "<b>bold</b>" not in page
    assert "inserts a row more of parcels_label" in audit
    assert "shop/senders.py:7" in audit
    assert "def prints_a_label(" in page[page.index('<section id="source"') :]


def test_a_page_of_its_own_asks_for_an_audit_and_for_no_report(site):
    result = site.run("--backchannel-audit-html=out/audit.html", "test_it.py", "-k", "label")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["BREAKS parcels.tasks.prints_a_label *", f"The audit as a page: {site.path}/out/audit.html"]
    )
    result.stdout.no_fnmatch_line("*what no test has reached*")
    page = (site.path / "out" / "audit.html").read_text(encoding="utf-8")
    assert parts(page) == ["audit", "sends"]
    assert "def prints_a_label(" in page


def test_a_page_that_cannot_be_written_fails_the_run(site):
    (site.path / "blocked").write_text("")
    result = site.run(
        "--backchannel-audit=rollback", "--backchannel-audit-html=blocked/audit.html", "--backchannel-audit-json=a.json"
    )
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["The audit as JSON: a.json", "FAILED: blocked/audit.html can't be written: *Fix: another place for it."]
    )


def test_a_share_of_the_tasks_that_ran(site):
    result = site.run("--backchannel-audit-fail-under=70", "test_it.py", "-n2")
    assert result.ret == 1
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "FAILED: 66.6 % of the tasks that ran (2 of 3) were audited without a BREAKS, and 70 % is wanted.",
            "*sent before the commit*",
        ]
    )
    site.ini(
        "backchannel_audit_fail_under = 100",
        "backchannel_audit_allow =",
        "    parcels.tasks.prints_a_label: a label more does no harm",
    )
    result = site.run("--backchannel-audit=twice", "test_it.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["100 % of the tasks that ran (3 of 3) were audited without a BREAKS; 100 % is wanted."]
    )
    result = site.run("--backchannel-audit=rollback", "test_it.py")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*is wanted*")


def test_what_the_baseline_knows_counts_as_audited(site):
    (site.path / "baseline.txt").write_text("audit:parcels.tasks.prints_a_label#insert:parcels_label\n")
    arguments = (
        "--backchannel-audit-fail-under=100",
        "--backchannel-audit=twice",
        "--backchannel-baseline=baseline.txt",
    )
    result = site.run(*arguments, "test_it.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["100 % of the tasks that ran (3 of 3) were audited without a BREAKS; 100 % is wanted."]
    )
