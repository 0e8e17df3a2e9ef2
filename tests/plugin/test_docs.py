"""Every Python snippet of the documentation is executed, or compiles and uses only names that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.snippets import PAGES, ROOT, SETTINGS, SNIPPETS, copy_example, fences, of, undefined_names, write_all

FAST = ("-m", "not celery_integration")


def assert_all_passed(result: pytest.RunResult) -> None:
    outcomes = result.parseoutcomes()
    assert result.ret == 0, result.stdout.str()
    assert outcomes.get("passed", 0) >= 1
    assert set(outcomes) <= {"passed", "warning", "warnings", "skipped", "deselected"}


def run_in(folder: Path, pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return pytester.runpytest_subprocess(*args, timeout=300)


def test_every_snippet_compiles():
    for snippet in SNIPPETS:
        try:
            # Snippets may await at the top, as the body of an async test does.
            compile(snippet.text, snippet.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            pytest.fail(f"{snippet.name}: {error}")


def test_every_name_that_a_snippet_uses_exists():
    unknown = {s.name: undefined_names(s.text, s.name, SETTINGS if not s.use else frozenset()) for s in SNIPPETS}
    assert {name: names for name, names in unknown.items() if names} == {}


def test_a_name_that_does_not_exist_is_noticed():
    text = """
import time

def test_it(task_queue):
    found = [task for task in task_queue if time.time()]
    wait_until_it_runs(found)
    return later(len(found), __name__)

def later(*values): return values

await nowhere()
"""
    assert undefined_names(text, "a snippet") == {"wait_until_it_runs", "nowhere"}


def test_the_snippets_run_in_the_sample_project(project):
    project.ini("asyncio_mode = auto")
    assert_all_passed(project.run(*FAST, *write_all(project.path, of("test", "sample")), timeout=300))


@pytest.mark.parametrize("name", sorted({s.project for s in SNIPPETS if s.use == "settings"}))
def test_the_snippets_run_with_the_settings_of_their_page(project, name):
    project.ini("asyncio_mode = auto")
    for snippet in of("settings", name):
        project.settings(snippet.text)
    assert_all_passed(project.run(*FAST, *write_all(project.path, of("test", name)), timeout=300))


def test_the_snippets_run_in_the_example_project(pytester):
    folder = copy_example(pytester.path)
    assert_all_passed(run_in(folder, pytester, *FAST, *write_all(folder, of("test", "example"))))


def test_no_comment_names_a_project_that_there_is_not():
    projects = {"sample", "example", *(s.project for s in SNIPPETS if s.use == "settings")}
    assert {s.name for s in SNIPPETS if s.use == "test" and s.project not in projects} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_says_where_a_snippet_runs_is_read_and_not_shown(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"^\s*(# test:|% test:).*", text, flags=re.MULTILINE)
    marked = [fence for fence in fences(page) if fence.use]
    assert len(re.findall(r"<!--\s*(?:test|settings):", text)) == len(marked)


# What is wrong on the front page: the sender's group is not the one that the consumer has joined.
FRONT_PAGE_BUG = ("layer.group_send)(invoice_group(invoice_id),", 'layer.group_send)(f"invoices.{invoice_id}",')
# The example has its keys start apart; on the page they are those of a project that does not.
AS_BY_DEFAULT = ("-o", "backchannel_distinct_keys=false")


def test_the_failure_on_the_front_page_is_a_real_one(pytester):
    folder = copy_example(pytester.path)
    live = folder / "billing" / "live.py"
    text = live.read_text(encoding="utf-8")
    assert FRONT_PAGE_BUG[0] in text
    live.write_text(text.replace(*FRONT_PAGE_BUG), encoding="utf-8")
    page = fences(ROOT / "docs" / "index.md")
    [test] = [fence for fence in page if fence.use == "test"]
    [shown] = [fence for fence in page if fence.language == "text"]
    (folder / "tests" / "test_invoices.py").write_text(test.text, encoding="utf-8")
    result = run_in(folder, pytester, "tests/test_invoices.py", "-p", "no:randomly", *AS_BY_DEFAULT)
    assert result.ret == 1
    assert without_times(shown.text) in without_times(result.stdout.str())


def without_times(report: str) -> str:
    """A report without the moments of its story, which are the machine's, and without the carets of newer pytests."""
    lines = (re.sub(r"^ *[\d.]+ s  ", "  ", line).rstrip() for line in report.splitlines())
    return "\n".join(line for line in lines if line.strip(" ^")).strip()
