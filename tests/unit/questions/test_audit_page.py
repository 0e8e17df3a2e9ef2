"""What the audit has found, in the page of the report and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.audit_pages import evil_audit, found_by, small_audit, small_run
from support.parsed_html import Parsed
from support.report_pages import EVIL, project_folder, small_report

from pytest_backchannel.questions.audit.output.audit_json import write_audit
from pytest_backchannel.questions.audit.run_audit import RunAudit
from pytest_backchannel.questions.report.formats import html_page
from pytest_backchannel.questions.report.formats.json_file import as_text
from pytest_backchannel.questions.report.page.rendering import render, render_audit
from pytest_backchannel.questions.report.page.shown_audit import MEANINGS


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # to which the lines of events are relative
    return project_folder(tmp_path)


@pytest.fixture
def page(project):
    return Parsed(render(replace(small_report(), audit=small_audit(project)), project))


@pytest.fixture
def alone(project):
    return Parsed(render_audit(small_audit(project), project))


def tasks(page):
    """The text of each task, by the end of its name."""
    shown = [(attrs, text) for attrs, text in page.all("details", class_="gap") if attrs["id"].startswith("a")]
    return {text.partition("shop.tasks.")[2].split()[0]: (attrs, text) for attrs, text in shown}


def section(page, name):
    return page.all("section", id=name)[0][1]


# ------------------------------------------------------------- what it says


def test_each_task_has_its_verdict_the_worst_first(alone):
    words = {name: text.partition(" shop.tasks.")[0] for name, (_, text) in tasks(alone).items()}
    assert list(words.items()) == [
        ("ship", "BREAKS"),
        ("bill", "LOOK"),
        ("idle", "KNOWN"),
        ("drifts", "NOT FAITHFUL"),
        ("fetches", "NOT AUDITED"),
        ("pings", "ALLOWED"),
        ("right", "NO DIFFERENCE FOUND"),
        ("adds", "NO EFFECT SEEN"),
    ]
    assert set(words.values()) == set(MEANINGS)
    for name, (_, text) in tasks(alone).items():
        assert MEANINGS[words[name]] in text
    for name, reason in {
        "drifts": "it mails another address",
        "fetches": "it opens a connection to 127.0.0.1",
        "pings": "one mail more does no harm",
    }.items():
        assert f"shop.tasks.{name} {reason}" in tasks(alone)[name][1]
    [(_, counts)] = alone.all("ul", class_="verdicts")
    assert counts.startswith("BREAKS 1 LOOK 1 KNOWN 1 NOT FAITHFUL 1")
    assert "7 of 8 tasks that ran are audited, of 3 that there are: " in section(alone, "audit")


def test_a_cause_says_when_what_where_and_in_which_tests(alone):
    _, ship = tasks(alone)["ship"]
    assert "Delivered twice BREAKS inserts a row more of shop_label shop/tasks.py:6 test_ship The test to write" in ship
    assert (
        "Dies after mail 'Shipped' to jo@example.com shop/tasks.py:7 , before COMMIT BREAKS twice: mail 'Shipped' "
        "shop/tasks.py:7 test_ship" in ship
    )
    assert ship.index("Delivered twice") < ship.index("Dies after")
    assert "Beside again: group_send order.1" in ship
    assert "Left half done mail 'Shipped' to jo@example.com (shop/tasks.py:7), and not COMMIT: by a death" in ship
    assert "Not audited in other calls it asks for a retry × 2" in ship
    assert "acks_late: redelivered when the worker dies" in ship
    assert "1 way through it ship(1) 1 death tried, in test_ship mail 'Shipped' (shop/tasks.py:7)" in ship
    codes = [text for _, text in alone.all("code") if text.startswith("def test_ship")]
    assert any("task_queue.kill_worker(" in code for code in codes)
    assert any("task_queue.redeliver()" in code for code in codes)
    _, known = tasks(alone)["idle"]
    assert "in the baseline" in known
    _, right = tasks(alone)["right"]
    assert "1 death tried, 3 more not" in right
    assert "a shadow took too long" in right
    assert "1 task that no test has run shop.tasks.never" in section(alone, "audit")


def test_what_is_sent_before_the_commit(alone):
    sends = section(alone, "sends")
    assert (
        "shop.tasks.ship (a Mock stands for it) shop/tasks.py:7 enqueued_in_transaction The fix Copy "
        "transaction.on_commit(lambda: ship.delay(...)) Code shop/tasks.py:7 Inside atomic() at shop/views.py:3 Tests "
        "test_ship" in sends
    )
    assert sends.index("2 known or intended") < sends.index("a mail shop/views.py:9")
    assert "Intended: it waits itself" in sends
    assert "In the baseline." in sends
    [(_, short)] = alone.all("p", class_="audited")
    assert short == (
        "1 of 8 tasks that ran breaks when delivered twice, or when the worker dies half-way; 1 is to be looked at. "
        "1 line sends inside a transaction, beside 2 that are known or intended."
    )


def test_many_tests_that_show_the_same_are_folded(project):
    run = small_run()
    run.calls = [replace(run.calls[0], test=f"test_a.py::test_{n}") for n in range(40)]
    # Of each way there is one call; these differ in what they find.
    run.calls = [
        replace(call, findings=(call.findings[0], replace(call.findings[1], before=f"{n}")))
        for n, call in enumerate(run.calls)
    ]
    page = Parsed(render_audit(found_by(run, None, project), project))
    assert any(text.startswith("40 tests test_0 test_1 ") for _, text in page.all("details", class_="tests"))


def test_no_task_is_called_safe(project):
    run = small_run()
    run.calls = [call for call in run.calls if call.task == "shop.tasks.right"]
    run.ran, run.skipped = type(run.ran)({"shop.tasks.right": 1}), {}
    text = render_audit(found_by(run, None, project), project)
    [(_, short)] = Parsed(text).all("p", class_="audited")
    assert short == "1 of 1 tasks that ran was audited, and in what these tests ran no BREAKS was found."
    body = text[text.index("<body>") :]
    assert "safe" not in body.lower()
    assert "reached" not in body  # whose colour is green


# --------------------------------------------------------------------- links


def test_beside_the_report_its_parts_are_linked(page):
    [(attrs, ship)] = [(attrs, text) for attrs, text in page.all("tbody") if attrs["data-name"] == "ship"]
    assert "Audit BREAKS" in ship
    at, shown = tasks(page)["ship"]
    assert "Part ship" in shown
    links = {attrs["href"] for attrs, _ in page.all("a")}
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert {f"#{at['id']}", f"#{attrs['id']}", "#audit", "#sends"} <= links
    assert {link[1:] for link in links if not link.startswith("#kind=")} <= set(ids)
    assert len(ids) == len(set(ids))
    # A test of another run is a name alone.
    assert "test_bill" in tasks(page)["bill"][1]


def test_a_page_of_its_own_links_to_nothing_that_it_has_not(alone):
    ids = {attrs["id"] for _, attrs, _ in alone.elements if "id" in attrs}
    assert {attrs["href"][1:] for attrs, _ in alone.all("a")} <= ids
    assert not alone.all("section", id="gaps")
    assert not alone.all("select", id="filter-kind")
    [(_, title)] = alone.all("title")
    assert title == "What the audit has found"


def test_the_code_is_found_from_where_pytest_was_started(project, monkeypatch):
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    run = small_run()
    run.known["shop.tasks.ship"] = replace(run.known["shop.tasks.ship"], where="../shop/tasks.py:4")
    page = Parsed(render_audit(found_by(run, None, project), project / "below"))
    assert any("shop/tasks.py:4 1 from celery" in text for _, text in page.all("figure", class_="excerpt"))


# ------------------------------------------------------------- nothing there


@pytest.mark.parametrize("run", [None, RunAudit()])
def test_nothing_is_there(project, run):
    page = Parsed(render_audit(found_by(run, {}, project), project))
    text = page.elements[0][2]
    assert "In what these tests ran, nothing was sent inside a transaction of the code's own." in text
    assert ("No task ran in these tests, so nothing is audited." in text) is (run is not None)
    assert bool(page.all("section", id="audit")) is (run is not None)
    assert not page.all("p", class_="nothing")


def test_without_an_audit_the_report_has_none_of_it(project):
    page = Parsed(render(small_report(), project))
    assert not page.all("section", id="audit")
    assert not page.all("section", id="sends")
    assert not page.all("p", class_="audited")


def test_without_an_audit_nothing_of_it_is_imported(project):
    code = (
        "import sys; from support.report_pages import small_report; from pathlib import Path;"
        "from pytest_backchannel.questions.report.page.rendering import render; render(small_report(), Path.cwd());"
        "print([name for name in sys.modules if name.startswith('pytest_backchannel.questions.audit')])"
    )
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=os.environ | path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr


def test_the_audit_is_no_part_of_the_report_s_data(project):
    report = small_report()
    with_audit = replace(report, audit=small_audit(project))
    assert with_audit == report
    assert as_text(with_audit) == as_text(report)


# ------------------------------------------------------------------ safety


def test_nobodys_text_is_markup(project):
    found = evil_audit(project, EVIL)
    assert EVIL in json.dumps(found.data, ensure_ascii=False).replace('\\"', '"')
    text = render_audit(found, project)
    page = Parsed(text)
    assert [attrs for attrs, _ in page.all("script")] == [{}]
    assert "<script>alert" not in text
    for name in ("b", "h3", "li", "dd", "summary", "code", "p", "span"):
        assert any(EVIL in shown for tag, _, shown in page.elements if tag == name), name


# ------------------------------------------------------------------- the file


def test_the_page_is_written_and_its_place_is_told(project):
    written = project / "out" / "audit.html"
    assert html_page.write_audit_page(small_audit(project), "out/audit.html") == f"The audit as a page: {written}"
    assert written.read_text(encoding="utf-8") == render_audit(small_audit(project), project)


def test_a_text_that_is_no_utf_8_is_written(project):
    found = evil_audit(project, "\udc80")
    html_page.write_audit_page(found, "audit.html")
    assert "\\udc80" in (project / "audit.html").read_text(encoding="utf-8")
    write_audit(found.data, "audit.json")
    assert json.loads((project / "audit.json").read_text(encoding="utf-8"))["tasks"][0]["task"] == "\udc80"
