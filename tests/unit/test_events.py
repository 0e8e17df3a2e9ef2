"""The event log: causes, places, problems, and the story that is made of them."""

from __future__ import annotations

import asyncio
import json
import os
import sysconfig

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from pytest_backchannel import events
from pytest_backchannel.errors import SLUGS, UnexpectedLoss, declare_slug
from pytest_backchannel.events import Event, EventLog, caller, caused_by, current_cause, is_project_file
from pytest_backchannel.questions.report.story import story


class Step(Event):
    name: str
    failed: bool = False

    def headline(self) -> str:
        return self.name

    @property
    def broke(self) -> bool:
        return self.failed


@pytest.fixture
def slug():
    declare_slug("tst_loss", "For this test.")
    yield "tst_loss"
    del SLUGS["tst_loss"]


def test_an_event_is_numbered_and_knows_its_cause():
    log = EventLog()
    first = log.record(Step, name="first")
    with caused_by(first):
        second = log.record(Step, name="second")
    third = log.record(Step, name="third")
    assert [(e.id, e.cause) for e in (first, second, third)] == [(1, None), (2, 1), (3, None)]
    assert log.of(Step) == [first, second, third]


def test_a_cause_can_be_given_where_a_message_carries_it():
    log = EventLog()
    with caused_by(7):
        assert log.record(Step, name="x", cause=3).cause == 3


def test_the_cause_follows_tasks_and_executor_jobs():
    async def main() -> list[int | None]:
        with caused_by(5):
            task = asyncio.create_task(asyncio.sleep(0, result=None))
            job = sync_to_async(current_cause)()
            back = sync_to_async(lambda: async_to_sync(sync_to_async(current_cause))())()
            await task
            return [await job, await back]

    assert asyncio.run(main()) == [5, 5]
    assert current_cause() is None


def test_the_cause_is_reset_after_a_failure():
    with pytest.raises(KeyError), caused_by(5):
        raise KeyError
    assert current_cause() is None


def test_the_caller_is_the_projects_own_line():
    def through_the_standard_library():
        return json.loads('"x"', object_hook=None, parse_constant=None, cls=Decoder)

    class Decoder(json.JSONDecoder):
        def decode(self, text):
            return caller()

    place = through_the_standard_library()
    assert place.path == __file__
    assert place.function.endswith("Decoder.decode")
    assert str(place).endswith(f"test_events.py:{place.line}")


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (__file__, True),
        (json.__file__, False),
        (pytest.__file__, False),
        (events.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        (sysconfig.get_path("purelib") + "/some/package.py", False),
    ],
)
def test_what_belongs_to_the_project(path, own):
    assert is_project_file(path) is own


def test_a_problem_needs_a_declared_slug():
    with pytest.raises(KeyError, match="'nonesuch' is not declared; declared are"):
        EventLog().problem("nonesuch", "text")


def test_problems_are_taken_once(slug):
    log = EventLog()
    first = log.problem(slug, "one")
    assert log.take_problems() == [first]
    second = log.problem(slug, "two")
    assert log.take_problems() == [second]
    assert log.take_problems() == []


def test_checks_run_once_in_order_also_those_that_a_check_adds():
    log, ran = EventLog(), []
    log.at_end(lambda: (ran.append(1), log.at_end(lambda: ran.append(3))))
    log.at_end(lambda: ran.append(2))
    log.run_checks()
    log.run_checks()
    assert ran == [1, 2, 3]


def test_without_pytest_unseen_problems_raise(slug):
    log = EventLog()
    log.at_end(lambda: log.problem(slug, "went wrong\nand more", where=caller()) and None)
    with pytest.raises(UnexpectedLoss) as raised:
        log.raise_problems()
    assert str(raised.value).splitlines()[0].startswith("tst_loss: went wrong  [")
    assert str(raised.value).splitlines()[1:] == [
        "    and more",
        'Intended? Say so with @pytest.mark.allow_lost("tst_loss").',
    ]
    log.raise_problems()


def test_an_empty_log_tells_no_story():
    assert story(EventLog()) == ""


def test_the_story_is_a_tree_of_causes_and_marks_where_the_chain_broke():
    log = EventLog()
    request = log.record(Step, name="POST /invoices/1/email/")
    with caused_by(request):
        enqueued = log.record(Step, name="enqueued send_invoice_email")
    other = log.record(Step, name="another root")
    with caused_by(enqueued):
        log.record(Step, name="body failed", failed=True)
    with caused_by(other):
        log.record(Step, name="its child")
    lines = [line[11:] for line in story(log).splitlines()]
    assert lines == [
        "POST /invoices/1/email/",
        "└─ enqueued send_invoice_email",
        "   └─ ✗ body failed",
        "another root",
        "└─ its child",
    ]


def test_a_long_story_keeps_its_beginning_and_its_end():
    log = EventLog()
    for number in range(200):
        log.record(Step, name=f"step {number}")
    lines = story(log, max_lines=10).splitlines()
    assert len(lines) == 10
    assert lines[0].endswith("step 0")
    assert "… 191 more events …" in lines
    assert lines[-1].endswith("step 199")


def test_a_chain_longer_than_the_recursion_limit_is_told():
    log = EventLog()
    for number in range(3000):
        log.record(Step, name=f"step {number}", cause=number or None)
    assert len(story(log, max_lines=5000).splitlines()) == 3000


def test_the_script_that_starts_pytest_is_no_file_of_the_project(tmp_path):
    assert not events.is_project_file(os.path.join(sysconfig.get_path("scripts"), "pytest"))
    assert events.is_project_file(str(tmp_path / "bin" / "pytest"))


def test_equal_neighbours_are_told_once_with_their_number():
    log = EventLog()
    for number in (1, 1, 1, 2):
        with caused_by(log.record(Step, name=f"enqueued {number}")):
            log.record(Step, name="ran")
    lines = [line[11:] for line in story(log).splitlines()]
    assert lines == ["enqueued 1 (× 3, alike)", "└─ ran", "enqueued 2", "└─ ran"]


def test_what_differs_below_is_not_folded():
    log = EventLog()
    for failed in (False, True, False):
        with caused_by(log.record(Step, name="enqueued")):
            log.record(Step, name="ran", failed=failed)
    lines = [line[11:] for line in story(log).splitlines()]
    assert len(lines) == 6
    assert lines[3] == "└─ ✗ ran"


def test_a_long_story_hides_neither_what_broke_nor_what_was_revoked():
    log = EventLog()
    for number in range(200):
        name = "REVOKED: expired" if number == 150 else f"step {number}"
        log.record(Step, name=name, failed=number == 120)
    lines = [line[11:] for line in story(log, max_lines=10).splitlines()]
    assert "✗ step 120" in lines
    assert "REVOKED: expired" in lines
    assert len(lines) == 14
    assert sum(int(line.split()[1]) for line in story(log, max_lines=10).splitlines() if line.startswith("… ")) == 189
