"""The report as an HTML page: what it says, that nothing in it is markup but its own, and what it may load."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from dataclasses import replace

import pytest
from questions_support import known_project
from support.parsed_html import Parsed
from support.report_pages import EVIL, evil_report, large_report, project_folder, small_report

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.questions.report.formats import html_page, load
from pytest_backchannel.questions.report.items.done import Done
from pytest_backchannel.questions.report.making import make_report
from pytest_backchannel.questions.report.model import Place, Step, TestRun
from pytest_backchannel.questions.report.page.excerpts import LONGEST, Excerpts
from pytest_backchannel.questions.report.page.rendering import render
from pytest_backchannel.questions.report.page.whole_test import whole_test


@pytest.fixture
def project(tmp_path):
    return project_folder(tmp_path)


@pytest.fixture
def page(project):
    return Parsed(render(small_report(), project))


# ------------------------------------------------------------- what it says


def test_the_figures(page):
    [(_, total)] = page.all("p", class_="total")
    assert total.startswith(
        "40 % 6 of 15 things that can happen behind the request have happened in a test: 6 gaps, and 1 of"
    )
    kinds = [text for _, text in page.all("li") if re.match(r"(Tasks|Routes|Beat entries) \d", text)]
    assert kinds == ["Tasks 6 of 13", "Beat entries 1 found", "Routes 0 of 1"]


def test_each_gap_is_a_sentence_with_the_test_to_write_the_code_and_what_comes_near(page):
    gaps = page.all("details", class_="gap")
    [(_, retried)] = [(attrs, text) for attrs, text in gaps if "never delivered twice" in text]
    assert "With acks_late a message comes again" in retried
    assert "def test_ship_twice(db, task_queue):" in retried
    assert "Part ship Code shop/tasks.py:3 Tests that come near test_ship test_retry[3]" in retried
    assert "test_bill" not in retried


def test_what_hurts_most_comes_first_and_what_is_known_last(page):
    sentences = [text for _, text in page.all("span", class_="sentence")]
    assert sentences[0] == "ws/rooms/<int:room>/ never connected to"
    assert sentences[-1] == "idle never run"
    [(_, baseline)] = page.all("details", class_="baseline")
    assert baseline.startswith("1 of the baseline idle never run")


def test_each_item_has_what_was_reached_by_which_tests_and_who_belongs_to_it(page):
    items = page.all("tbody")
    [(attrs, bill)] = [(attrs, text) for attrs, text in items if attrs["data-name"] == "bill"]
    assert attrs["data-kind"] == "task"
    assert attrs["data-state"] == "open"
    assert "✓ reached: ran 1 test TestShop::test_bill" in bill
    assert "○ open: ran as a task" in bill
    assert "Due by beat nightly" in bill
    assert len(items) == 6


def test_each_link_leads_to_something(page):
    ids = {attrs["id"] for _, attrs, _ in page.elements if "id" in attrs}
    links = {attrs["href"] for attrs, _ in page.all("a")}
    assert {link for link in links if link[1:] not in ids and not link.startswith("#kind=")} == set()
    assert len(ids) == sum("id" in attrs for _, attrs, _ in page.elements)


def test_a_failed_test_has_its_message_and_its_story(page):
    failed = [text for _, text in page.all("article", class_="failed")]
    assert len(failed) == 2
    [broken] = [text for text in failed if text.startswith("test_broken")]
    assert "error in a fixture · tests/test_other.py" in broken
    assert "fixture 'x' not found" in broken
    assert "Nothing happened behind the request." in broken
    [ship] = [text for text in failed if text.startswith("test_ship")]
    assert "tests/test_shop.py:1" in ship
    assert "0.020 s RETRY ship × 3" in ship
    assert "30.0 s ✗ broke here: FAILURE ship" in ship
    steps = [text for _, text in page.all("li", class_="step")]
    assert steps[0].startswith("0 s request POST /orders/ shop/tasks.py:6 0.010 s enqueued ship(1) 0.020 s RETRY ship")
    assert steps[-1] == "31.0 s frame received"


def test_each_test_has_its_line_and_what_it_reached(page):
    tests = [text for _, text in page.all("li", class_="test")]
    assert len(tests) == 5
    [bill] = [text for text in tests if text.startswith("TestShop::test_bill")]
    assert bill.startswith(
        "TestShop::test_bill tests/test_shop.py:6 bill ran, called as a function ship mocked away, mocked calls fit"
    )
    assert any(text.startswith("test_later skipped tests/test_other.py") for text in tests)


def test_a_line_of_the_code_stands_between_its_neighbours(page):
    [(_, excerpt)] = [(attrs, text) for attrs, text in page.all("figure", class_="excerpt") if "tasks.py:3" in text]
    assert excerpt.startswith("shop/tasks.py:3 1 from celery import shared_task 2 3 @shared_task")
    assert excerpt.endswith('7 send("order.shipped", label)')


def test_deep_stories_are_no_deeper_than_a_browser_goes(project):
    step = Step(at=0, text="last")
    for number in range(290):
        step = Step(at=0, text=f"step {number}", steps=(step,))
    report = replace(small_report(), tests=[TestRun(id="a.py::test", outcome="failed", story=(step,))])
    text = render(report, project)
    Parsed(text)
    assert text.count("</time>") == 291


# ------------------------------------------------------------- nothing there


def test_long_names_break_where_one_would_break_them(project):
    text = render(small_report("shop.ship_it"), project)
    assert '<span class="name">shop.<wbr>ship_<wbr>it</span>' in text
    assert '<span class="name">TestShop::<wbr>test_<wbr>bill</span>' in text


def test_an_empty_report(tmp_path):
    page = Parsed(render(make_report(known_project(), Done({}), []), tmp_path))
    text = page.elements[0][2]
    assert "Nothing was found that could be reached: no task, no route." in text
    assert "None ran." in text
    assert not page.all("table")
    assert not page.all("section", id="failed")


def test_an_inventory_that_is_not_known(tmp_path):
    report = make_report(replace(known_project(), celery=None, asgi=None, not_known=("tasks: refused",)), Done({}), [])
    page = Parsed(render(report, tmp_path))
    [(_, aside)] = page.all("aside")
    assert aside == "Not known tasks: refused"


def test_nothing_is_missing(tmp_path):
    report = small_report()
    text = render(replace(report, gaps=[gap for gap in report.gaps if gap.in_baseline]), tmp_path)
    assert "There is none that is not in the baseline." in text


# ------------------------------------------------------------------ safety


def test_nobodys_text_is_markup(tmp_path):
    text = render(evil_report(), tmp_path)
    page = Parsed(text)
    assert [attrs for attrs, _ in page.all("script")] == [{}]
    assert "alert(&#39;x&#39;)" in text
    assert "<script>alert" not in text
    for name in ("tbody", "article", "li", "dd", "summary", "code", "pre"):
        assert any(EVIL in " ".join(found.split(" ")) for tag, _, found in page.elements if tag == name), name
    assert any(attrs.get("data-name") == EVIL for attrs, _ in page.all("tbody"))


def test_the_page_may_load_nothing_but_its_own_style_and_script(project):
    text = render(small_report(), project)
    page = Parsed(text)
    [policy] = [attrs["content"] for attrs, _ in page.all("meta") if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        known = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{known}'" in policy
    addresses = [value for _, attrs, _ in page.elements for name, value in attrs.items() if name in ("src", "href")]
    assert {address for address in addresses if not address.startswith("#")} == {"data:,"}
    assert not [
        attrs for _, attrs, _ in page.elements if "style" in attrs or any(name.startswith("on") for name in attrs)
    ]
    assert "@import" not in text
    assert "url(" not in text


@pytest.mark.parametrize("file", ["/etc/hostname", "../outside.py", "shop/secret.txt", "none.py"])
def test_only_the_projects_own_code_is_shown(project, file):
    """A report of somebody else's may name any file."""
    (project.parent / "outside.py").write_text("secret = 1\n")
    (project / "shop" / "secret.txt").write_text("secret\n")
    assert Excerpts(project).of(Place(file=file, line=1)) is None


def test_an_endless_line_has_an_end(project):
    (project / "long.py").write_text("x" * 10_000)
    [(_, line)] = Excerpts(project).of(Place(file="long.py", line=1)).lines
    assert len(line) == LONGEST
    assert Excerpts(project).of(Place(file="long.py", line=7)) is None


# ------------------------------------------------------------- the test to write


@pytest.mark.parametrize(
    ("steps", "written"),
    [
        ("", ""),
        (
            "ship.delay(1); task_queue.run()",
            "def test_ship_run(db, task_queue):\n    ship.delay(1)\n    task_queue.run()\n",
        ),
        (
            'with patch("a;b"), raises(E): ship.delay({1: 2}); task_queue.run()',
            'def test_ship_run(db, task_queue):\n    with patch("a;b"), raises(E):\n        ship.delay({1: 2})\n'
            "        task_queue.run()\n",
        ),
        (
            'async with websocket("/ws/") as browser: await browser.receive_json()',
            'async def test_ship_run(db, websocket):\n    async with websocket("/ws/") as browser:\n'
            "        await browser.receive_json()\n",
        ),
        ("not (python", "def test_ship_run(db):\n    not (python\n"),
        ("a\nb", "def test_ship_run(db):\n    a\n    b\n"),
    ],
)
def test_the_test_to_write(steps, written):
    assert whole_test(steps, "shop.ship", "run") == written


@pytest.mark.parametrize(("title", "name"), [("/ws/<int:x>/", "ws_int_x"), ("invoice.{}", "it"), ("a.class", "class_")])
def test_its_name_is_one(title, name):
    assert whole_test("a()", title, "hook:on_failure").startswith(f"def test_{name}_hook_on_failure(db):")


# ------------------------------------------------------------------- the file


def test_the_page_is_written_and_its_place_is_told(project, monkeypatch):
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")  # pytest was started there, and its root is above
    written = project / "below" / "out" / "report" / "index.html"
    assert html_page.write(small_report(), "out/report") == [f"The report as a page: {written}"]
    text = written.read_text(encoding="utf-8")
    assert "3</i>@shared_task" in text
    assert text == render(small_report(), project)


def test_the_code_is_where_the_root_of_the_run_was(project, tmp_path_factory):
    """``pytest /srv/shop`` may be run from anywhere."""
    text = render(replace(small_report(), root=str(project)), tmp_path_factory.mktemp("elsewhere"))
    assert "3</i>@shared_task" in text


def test_without_the_code_places_are_plain_text(tmp_path):
    page = Parsed(render(small_report(), tmp_path))
    assert not page.all("figure", class_="excerpt")
    assert "The code was not at hand when this page was written." in page.elements[0][2]
    assert {text for _, text in page.all("span", class_="place")} >= {"shop/tasks.py:3", "tests/test_shop.py"}


def test_without_jinja_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pytest_backchannel.questions.report.page")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pytest_backchannel.questions.report.formats.html_page")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(BackchannelError, match=r"'html' needs more .*pip install 'pytest-backchannel\[report\]'"):
        load("html")


def test_the_page_of_a_large_project_stays_usable(project):
    """200 tasks, 50 routes, 1,000 tests: 2 MB."""
    report = large_report()
    assert (len(report.items), len(report.tests)) == (350, 1000)
    assert len(render(report, project).encode()) < 3_000_000
