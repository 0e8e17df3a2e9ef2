"""``--backchannel-report=html``: the page of a run, and where it is."""

from __future__ import annotations

import json
import sys

SUITE = """
    from shop.tasks import add, confirm_order

    def test_fine(task_queue):
        add.delay(1, 2)
        task_queue.run()

    def test_fails(task_queue, db):
        confirm_order.delay(1)
        task_queue.run()
        assert not "what <b>was</b> wanted"
"""


def test_the_page_has_the_story_and_the_terminal_says_where_it_is(project):
    result = project.test(SUITE, "--backchannel-report=html")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*= backchannel: what no test has reached =*",
            f"The report as a page: {project.path}/backchannel-report/index.html",
        ]
    )
    page = (project.path / "backchannel-report" / "index.html").read_text(encoding="utf-8")
    assert "confirm_order" in page
    assert "what &lt;b&gt;was&lt;/b&gt; wanted" in page
    story = page[page.index('<ol class="story"') : page.index('<section id="items"')]
    assert "shop.tasks.confirm_order" in story
    assert "def confirm_order(" in page


def test_where_it_can_t_be_written_is_said(project):
    (project.path / "taken").write_text("a file")
    result = project.test(
        SUITE, "--backchannel-report=html:taken", "--backchannel-report=json:no/such/folder.json", "-k", "fine"
    )
    assert result.ret == 2
    result.stdout.fnmatch_lines_random(
        ["FAILED: the report as html can't be written: *taken*Fix: another place for it.", "*1 passed*"]
    )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_folder_of_ones_own_and_a_page_of_several_runs(project):
    project.test(SUITE, "--backchannel-report=html:out/page", "--backchannel-report=json")
    assert (project.path / "out" / "page" / "index.html").exists()
    made = project.pytester.run(
        sys.executable,
        "-m",
        "pytest_backchannel.cli",
        "report",
        "combine",
        "backchannel-report.json",
        "--format=html:all",
    )
    made.stdout.fnmatch_lines([f"The report as a page: {project.path}/all/index.html"])
    titles = [item["title"] for item in json.loads((project.path / "backchannel-report.json").read_text())["items"]]
    page = (project.path / "all" / "index.html").read_text(encoding="utf-8")
    assert page.count("<tbody ") == len(titles)
    assert "def confirm_order(" in page
