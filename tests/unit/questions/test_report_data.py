"""The report as data: there and back, combined, with a baseline, in its formats."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from questions_support import known_project, task

from pytest_backchannel.errors import BackchannelError, UnreadableReport
from pytest_backchannel.events import Event, EventLog, Location
from pytest_backchannel.questions.report import facts
from pytest_backchannel.questions.report.as_data import from_data, steps_of, to_data
from pytest_backchannel.questions.report.baseline import baseline_text, closed, read_baseline
from pytest_backchannel.questions.report.combining import combined
from pytest_backchannel.questions.report.formats import github_warnings, json_file, load, terminal_text
from pytest_backchannel.questions.report.items.done import Done
from pytest_backchannel.questions.report.making import make_report
from pytest_backchannel.questions.report.model import Place, Step, TestRun
from pytest_backchannel.questions.report.story import story
from pytest_backchannel.questions.report.story_tree import steps_text, story_data

TASK = "task:shop.tasks.ship"
PROJECT = known_project(tasks=[task(acks_late=True, autoretries=True), task("shop.tasks.bill")])
FACTS = {
    "test_a": [(TASK, "eager", ""), (TASK, "succeeded", "")],
    "test_b": [(TASK, "retried", ""), (TASK, "mocked", "delay"), (TASK, "misfit", "ship(1, 2) does not fit")],
    "test_c": [("task:shop.tasks.bill", "function", ""), (TASK, "mocked", "delay")],
}
STORY = (
    Step(at=0.0, text="ran ship(1)", where=Place(file="a.py", line=3), broke=True, steps=(Step(at=1.5, text="x"),)),
)


def report(*tests, baseline=(), **values):
    tests = tests or tuple(FACTS)
    runs = [TestRun(id=test, outcome="passed") for test in tests]
    found = {test: FACTS[test] for test in tests}
    return make_report(PROJECT, Done(found), runs, baseline=baseline, **values)


def test_there_and_back():
    made = report()
    failed = TestRun(id="test_d", outcome="failed", message="assert 1 == 2", story=STORY)
    made = replace(made, tests=[*made.tests, failed])
    data = json.loads(json.dumps(to_data(made)))
    assert from_data(data) == made
    assert data["summary"]["failed"] == 1
    assert json_file.as_text(from_data(data)) == json_file.as_text(made)


def test_tests_are_named_by_their_index():
    data = to_data(report())
    [ship] = [item for item in data["items"] if item["key"] == TASK]
    retried = next(facet for facet in ship["facets"] if facet["name"] == "retried")
    assert [data["tests"][number]["id"] for number in retried["tests"]] == ["test_b"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([], "is no report of pytest-backchannel"),
        ({"format": "coverage"}, "is no report of pytest-backchannel"),
        ({"format": "pytest-backchannel report", "version": 99}, "has version 99"),
        ({"format": "pytest-backchannel report", "version": 1}, "is damaged (KeyError: 'tests')"),
    ],
)
def test_what_is_no_report(tmp_path, data, text):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UnreadableReport, match="x.json") as error:
        json_file.read(path)
    assert text in str(error.value)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(UnreadableReport, match="can't be read"):
        json_file.read(tmp_path / "none.json")


# --------------------------------------------------------------------- combining


@pytest.mark.parametrize(
    "shards",
    [[["test_a"], ["test_b"], ["test_c"]], [["test_c", "test_a"], ["test_b"]], [["test_b"], ["test_a", "test_c"]]],
)
def test_shards_are_the_whole(shards):
    whole = report()
    assert combined([report(*shard) for shard in shards]) == whole
    assert combined([whole]) == whole
    assert combined([whole, whole]) == whole


def test_each_test_alone_closes_what_opens_without_it():
    whole = report()
    for test in FACTS:
        others = combined([report(other) for other in FACTS if other != test])
        assert others == report(*(other for other in FACTS if other != test))
        alone = {
            f"{item.key}#{facet.name}"
            for item in whole.items
            for facet in item.facets.values()
            if facet.wanted and facet.tests == (test,)
        }
        assert others.open_keys() - whole.open_keys() == alone


def test_of_two_runs_of_a_test_the_worse_one_is_told():
    made = report("test_a")
    failed = replace(made, tests=[TestRun(id="test_a", outcome="failed", story=STORY)])
    assert combined([made, failed]).tests == failed.tests
    assert combined([failed, made]).tests == failed.tests


def test_reports_of_different_projects():
    other = make_report(known_project(), Done({}), [])
    other = replace(other, project={**other.project, "settings": "other.settings"})
    with pytest.raises(UnreadableReport, match="of different projects .*'other.settings'"):
        combined([report(), other])
    with pytest.raises(UnreadableReport, match="there is no report"):
        combined([])


# ---------------------------------------------------------------------- baseline


def test_a_baseline_knows_what_was_open(tmp_path):
    path = tmp_path / "baseline.txt"
    path.write_text(baseline_text(report("test_a")))
    known = read_baseline(path)
    assert known == report("test_a").open_keys()
    whole = report(baseline=known)
    assert [gap.facet for gap in whole.gaps if not gap.in_baseline] == ["mock_fits"]
    assert f"{TASK}#retried" in closed(whole, known)


def test_what_is_implied_is_in_the_baseline_too(tmp_path):
    """When the task runs at last, what it never did was known before."""
    path = tmp_path / "baseline.txt"
    path.write_text(baseline_text(report("test_c")))
    assert all(gap.in_baseline for gap in report("test_a", "test_c", baseline=read_baseline(path)).gaps)


def test_a_baseline_that_is_none(tmp_path):
    path = tmp_path / "baseline.txt"
    with pytest.raises(UnreadableReport, match=r"baseline\.txt can't be read"):
        read_baseline(path)
    path.write_text("# fine\n\nsomething\n")
    with pytest.raises(UnreadableReport, match=r"baseline\.txt:3: 'something' is no key of a gap"):
        read_baseline(path)


# ----------------------------------------------------------------------- formats


def test_the_terminal_says_the_worst_first():
    lines = list(terminal_text.lines(report()))
    assert lines[0] == "ship: a mock took what no task could: ship(1, 2) does not fit  [shop/tasks.py:3]"
    assert lines[-1] == "Reached 5 of 10 (50 %): 5 gaps."


def test_the_terminal_shows_no_more_than_it_should():
    lines = list(terminal_text.lines(report(), most=1))
    assert lines[-2] == "… and 4 more: --backchannel-report=json has all of them."


def test_what_many_have_in_common_is_told_once():
    tasks = [task(f"shop.tasks.t{number}") for number in range(9)]
    made = make_report(known_project(tasks=tasks), Done({}), [])
    assert list(terminal_text.lines(made)) == [
        "9 tasks never run: t0, t1, t2, t3, t4, t5 and 3 more",
        "    Nothing of what it does is tested.",
        "    → t0.delay(order_id); task_queue.run()",
        "Reached 0 of 27 (0 %): 9 gaps.",
    ]


def test_what_is_not_known_is_said_first():
    made = report()
    made = replace(made, not_known=["refused: a database"])
    assert next(terminal_text.lines(made)) == "Not known: refused: a database"


def test_nothing_to_reach():
    assert list(terminal_text.lines(make_report(known_project(), Done({}), []))) == [
        "Nothing was found that could be reached: no task, no route."
    ]


def test_annotations_are_escaped():
    line = github_warnings.write(report(), "")[0]
    assert line.startswith("::warning file=shop/tasks.py,line=3,title=backchannel::ship: a mock took")
    assert "\n" not in line


def test_annotations_are_relative_to_the_repository(tmp_path, monkeypatch):
    (tmp_path / "site" / "shop").mkdir(parents=True)
    (tmp_path / "site" / "shop" / "tasks.py").touch()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path / "site")
    assert github_warnings.write(report(), "")[0].startswith("::warning file=site/shop/tasks.py,line=3,")


def test_a_format_that_is_none():
    with pytest.raises(BackchannelError, match="there is no format 'xml': choose one of 'term', 'html'"):
        load("xml")


# ------------------------------------------------------------------------- story


class Happened(Event, breaks=True):
    text: str

    def headline(self):
        return self.text


def test_a_story_as_data_is_the_same_text_again():
    log = EventLog()
    first = log.record(Happened, text="a", at=1.0, where=Location("/x/a.py", 3, "f"))
    log.record(Happened, text="b", at=2.0, cause=first.id)
    log.record(Happened, text="b", at=2.0, cause=first.id)
    last = log.record(Happened, text="c", at=3.0)
    log.record(Happened, text="d", at=30.0, cause=last.id)
    data = json.loads(json.dumps(story_data(log)))
    assert steps_text(steps_of(data)) == story(log)
    assert [step["text"] for step in data] == ["a", "c"]
    assert data[0]["steps"][0]["times"] == 2


def test_no_story():
    assert story_data(EventLog()) == []


def test_facts_are_of_a_test():
    facts.note("task:t", "lost between two tests")
    facts.begin()
    facts.note("task:t", "eager")
    facts.note("task:t", "eager")
    assert facts.take() == [("task:t", "eager", "")]
    assert not facts.gathering()
    assert facts.take() == []
