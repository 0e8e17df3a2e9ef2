"""A failed assertion names the workflow that was built and never applied."""

from __future__ import annotations

import inspect

import pytest
import stepped_tasks as t
from celery import canvas, chain, chord, group

from pytest_backchannel.errors import BackchannelFailure
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.fixture(autouse=True)
def log():
    t.runs.clear()
    begin_log()


@pytest.fixture
def queue():
    with TaskQueue(t.app) as queue:
        yield queue


def build_chain():
    return t.add.s(1, 2) | t.add.s(3)


def build_group():
    return group(t.add.s(number, 0) for number in range(3))


def build_chord():
    return chord([t.add.s(1, 2), t.add.s(3, 4)], t.total.s())


def failure(queue, expected):
    with pytest.raises(BackchannelFailure) as raised:
        queue.assert_enqueued(expected)
    return str(raised.value)


@pytest.mark.parametrize(("build", "kind"), [(build_chain, "chain"), (build_group, "group"), (build_chord, "chord")])
def test_what_was_built_and_never_applied_is_named(queue, build, kind):
    build()
    told = failure(queue, t.add)
    line = inspect.getsourcelines(build)[1] + 1
    assert f"A {kind} with {t.add.name} was built and not applied [" in told
    assert f"test_unapplied.py:{line}]" in told
    assert ".delay()" in told
    assert told.count("not applied") == 1


def test_the_callback_of_a_chord_is_in_it_too(queue):
    build_chord()
    assert f"A chord with {t.total.name} was built and not applied" in failure(queue, t.total)


@pytest.mark.parametrize(
    "apply", [lambda built: built.delay(), lambda built: built.apply_async(), lambda built: built()]
)
def test_what_was_applied_is_not_named(queue, apply):
    apply(build_chain())
    queue.run()
    assert "not applied" not in failure(queue, t.add)


def test_what_was_applied_as_a_part_or_as_a_copy_is_not_named(queue):
    (build_chain() | t.add.s(4)).delay()
    build_group().clone().delay()
    queue.run()
    assert "not applied" not in failure(queue, t.add)


def test_what_is_built_of_another_task_is_not_named(queue):
    build_chain()
    assert "not applied" not in failure(queue, t.total)


def test_the_expectation_itself_is_not_named(queue):
    assert "not applied" not in failure(queue, chain(t.add.s(1, 2), t.add.s(3)))
    expected = t.add.s(5, 6) | t.add.s(3)
    assert "not applied" not in failure(queue, expected)


def test_a_workflow_that_was_wanted_and_never_applied_is_named(queue):
    build_chain()
    assert "A chain with stepped_tasks.add was built and not applied" in failure(queue, t.add.s(1, 2) | t.add.s(3))


def test_what_a_worker_makes_of_a_message_is_not_named(queue):
    t.add.apply_async((1, 2), link=t.add.s(3) | t.add.s(4))
    queue.run()
    assert "not applied" not in failure(queue, t.add)


def test_celery_is_as_before_afterwards():
    kinds = (canvas._chain, canvas.group, canvas._chord)
    before = [dict(vars(kind)) for kind in kinds]
    with TaskQueue(t.app):
        build_chain()
    assert [dict(vars(kind)) for kind in kinds] == before
