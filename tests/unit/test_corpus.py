"""The bugs that `make corpus` makes: they fit the example, and what is said of them is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus.edits import EDITS, Change, Edit, EditFailed, copied, load
from corpus.measure import NotGreen, baselines
from corpus.page import no_longer
from corpus.reach import functions_changed, which_tests
from corpus.runs import SETUPS, Run
from corpus.verdicts import verdict

CHANGES = load()


def change(*edits, name="mine", kind="retry"):
    return Change(
        name=name, kind=kind, why="", edits=tuple(Edit(file=file, old=old, new=new) for file, old, new in edits)
    )


@pytest.mark.parametrize("known", CHANGES, ids=[known.name for known in CHANGES])
def test_each_change_fits_the_example_and_is_python(known):
    for file, (before, after) in known.sources().items():
        assert before != after
        compile(after, file, "exec")
    assert known.why.endswith(".")
    assert any(known.causes().values())


def test_the_names_are_unique_and_none_is_lost():
    assert len({known.name for known in CHANGES}) == len(CHANGES)
    bugs = [known for known in CHANGES if known.is_bug]
    assert (len([bug for bug in bugs if not bug.later]), len([bug for bug in bugs if bug.later])) == (79, 20)
    assert len(CHANGES) - len(bugs) == 19
    assert {file.stem for file in (EDITS / "bugs").iterdir()} == {bug.kind for bug in bugs}


@pytest.mark.parametrize(("old", "count"), [("there is no such text", 0), ("invoice_id", 20)])
def test_an_old_text_must_occur_once(old, count):
    with pytest.raises(EditFailed, match=rf"mine: the old text occurs {count} times in billing/tasks.py"):
        change(("billing/tasks.py", old, "")).sources()


def test_edits_of_one_file_follow_each_other(tmp_path):
    project = copied(
        change(("chat/apps.py", "ChatConfig", "Renamed"), ("chat/apps.py", "Renamed", "Again")), tmp_path / "project"
    )
    assert "class Again(" in (project / "chat" / "apps.py").read_text()
    assert (project / "suite_a" / "test_tasks.py").exists()


BEFORE = """
import os
LIMIT = 3
class Task:
    retries = 3
    def run(self):
        return LIMIT
@decorated
def send():
    def inner():
        return 1
    return inner()
"""


@pytest.mark.parametrize(
    ("old", "new", "functions"),
    [
        ("return LIMIT", "return LIMIT + 1", {"Task.run"}),
        ("return 1", "return 2", {"send"}),
        ("import os", "import os\nimport json", set()),
        ("import os", "import json", None),
        ("import os", "import os\nfrom limits import LIMIT", None),
        ("import os\nLIMIT = 3", "LIMIT = 3\nimport os", None),
        ("import os", "import json, os", set()),
        ("LIMIT = 3", "LIMIT = 4", None),
        ("@decorated\n", "", None),
        ("retries = 3", "retries = 4", None),
        ("run(self)", "run(self, limit=3)", None),
        ("    retries = 3\n", "    retries = 3\n    def stop(self):\n        pass\n", None),
        ("return inner()", "return (", None),
    ],
)
def test_what_a_change_of_a_module_touches(old, new, functions):
    assert functions_changed(BEFORE, BEFORE.replace(old, new)) == functions


BODY = ("billing/tasks.py", "return str(total)", "return total")


def run_of(reached, imported=("billing/tasks.py",)):
    return Run(reached={"": [], **reached}, imported=list(imported), passed=list(reached))


def test_only_the_tests_that_call_a_changed_function_run():
    baseline = run_of({"a": ["billing/tasks.py:store_month_total"], "b": ["billing/tasks.py:total_month"]})
    assert which_tests(change(BODY), SETUPS["strict"], baseline) == {"a"}


@pytest.mark.parametrize(
    "baseline",
    [
        run_of({"a": []} | {"": ["billing/tasks.py:store_month_total"]}),  # at import
        run_of({"a": []}, imported=()),  # nobody knows who reads it
    ],
    ids=["called at import", "not imported"],
)
def test_when_in_doubt_all_run(baseline):
    assert which_tests(change(BODY), SETUPS["strict"], baseline) is None


def test_without_the_plugin_nobody_reads_what_is_not_imported():
    assert which_tests(change(BODY), SETUPS["plain"], run_of({"a": []}, imported=())) == set()


TRACEBACK = """    total_month.delay("2026-06-30")
billing/tasks.py:81: in total_month
E   TypeError: no
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (TRACEBACK, True),
        ("E   assert 1 == 2", False),
        ("    store_month_total.delay()  # the test's own line\nE   assert 1 == 2", False),
        ("failed_task: store_month_total failed", True),
        ("  0.046 s  ran billing.tasks.store_month_total(1)", True),
    ],
)
def test_whether_a_text_names_the_cause(text, named):
    found = verdict(change(BODY), [{"test": "suite_a/test_x.py::test_it", "when": "call", "text": text}], [])
    assert found.names_cause is named


def test_the_slugs_of_a_verdict_are_read():
    text = "E   no_members: group_send('a'): nobody is in the group 'a'  [billing/live.py:14]"
    found = verdict(change(BODY), [{"test": "tests/test_x.py::test_it", "when": "call", "text": text}], [])
    assert (found.red, found.slugs, found.by) == (True, ["no_members"], ["tests/test_x.py::test_it"])


def test_what_is_told_counts_only_where_it_is_not_told_of_the_example():
    baseline = Run(told=["no_members: nobody [billing/live.py:14]\n    in suite_a/test_x.py"])
    now = Run(told=["no_members: nobody [billing/live.py:15]", "expired: it waited [billing/live.py:15]"])
    assert now.news(baseline) == ["expired: it waited [billing/live.py:15]"]


def test_an_example_that_is_red_measures_nothing(tmp_path):
    class Red:
        def copy(self, change):
            return tmp_path / "copy" / "project"

        def run(self, project, setup, reach):
            return Run(failures=[{"test": "tests/test_x.py::test_it", "when": "call", "text": "E   assert 0"}])

    with pytest.raises(NotGreen, match="under 'plain', tests/test_x.py::test_it fails:\nE   assert 0"):
        baselines(Red(), ["plain"], tmp_path / "known", lambda text: None)


def test_what_is_not_caught_any_more_is_said():
    caught, missed = ({"red": red, "told": False} for red in (True, False))
    before = {"a": {"verdicts": {"U": caught, "A": caught}}, "b": {"verdicts": {"U": missed}}}
    now = {
        "a": {"kind": "retry", "verdicts": {"U": missed, "A": caught}},
        "b": {"kind": "retry", "verdicts": {"U": missed}},
    }
    assert no_longer(now, before) == ["a: U"]


def test_the_suites_are_as_they_were_written():
    """They say what a suite catches that knows nothing of the plugin: who mends one measures something else."""
    suites = Path(__file__).parents[1] / "corpus" / "suites"
    texts = [file.read_text() for file in sorted(suites.rglob("*.py"))]
    assert len(texts) == 13
    assert not [text for text in texts if "backchannel" in text or "task_queue" in text or "websocket(" in text]
