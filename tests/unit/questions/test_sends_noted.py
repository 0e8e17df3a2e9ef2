"""What is noted of the messages that tests send: in eager mode, by mocks, and by what reaches ``send_task``."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from celery import chain, chord, group

from pytest_backchannel.questions.contract.contents import TaskSend
from pytest_backchannel.questions.contract.sends_noted import mocked_sends, sent_tasks
from pytest_backchannel.questions.contract.sends_noted.noted import from_data, noted


@pytest.fixture
def watched():
    for module in (sent_tasks, mocked_sends):
        module.install()
    try:
        with noted() as found:
            yield found
    finally:
        mocked_sends.remove()
        sent_tasks.remove()


@pytest.fixture
def add(app):
    @app.task(name="add")
    def add(x, y=0):
        return x + y

    return add


def shapes(found):
    return sorted((one.args, *one.kwargs, *one.headers) for one in found.tasks)


def test_eager_calls(watched, add):
    add.delay(1)
    add.delay(2)
    add.apply_async((1,), {"y": 2}, countdown=3)
    add.apply((1, 2))  # runs here, and is no message
    assert shapes(watched) == [(1,), (1, "y", "eta")]


@pytest.mark.parametrize("workflow", [chain, group, chord])
def test_the_parts_of_a_workflow(watched, add, app, workflow):
    @app.task(name="total")
    def total(values):
        return values

    parts = add.s(1, 2), add.s(y=4) if workflow is chain else add.s(5, y=6)
    (chord(parts, total.s()) if workflow is chord else workflow(*parts)).apply_async()
    assert (1, "y") in shapes(watched)
    assert (2,) in shapes(watched)
    assert any(one.task == "total" for one in watched.tasks) is (workflow is chord)


@pytest.mark.parametrize("eager", [True, False])
def test_the_calls_of_map_starmap_and_chunks(watched, add, app, eager):
    app.conf.task_always_eager = eager
    add.map([1, 2]).apply_async()
    add.starmap([(1, 2)]).apply_async(countdown=3)
    add.chunks([(1,), (2,)], 1).apply_async(queue="slow")
    assert watched.tasks == {
        TaskSend(task="add", args=1),
        TaskSend(task="add", args=2, headers=("eta",)),
        TaskSend(task="add", args=1, queue="slow"),
    }


def test_a_bound_task_and_its_retry(watched, app):
    @app.task(name="again", bind=True, max_retries=1)
    def again(self, x):
        if not self.request.retries:
            self.retry(countdown=1, throw=False)

    again.delay(1)
    assert {one.args for one in watched.tasks} == {1}


def test_a_call_that_can_not_be_made_is_no_message(watched, add):
    with patch.object(add, "delay") as delay:
        delay(1, 2, 3)
        delay(1)
    assert shapes(watched) == [(1,)]


def test_mocks(watched, add):
    class Views:
        task = add

    with patch.object(Views, "task") as mocked:
        mocked.delay(1)
        mocked.apply_async((1, 2), queue="slow", eta="now")
        mocked.s(1, 2)
    with patch.object(add, "apply_async", autospec=True) as mocked:
        mocked(kwargs={"x": 1})
    assert watched.tasks == {
        TaskSend(task="add", args=1),
        TaskSend(task="add", args=2, queue="slow", headers=("eta",)),
        TaskSend(task="add", kwargs=("x",)),
    }


def test_send_task(watched, add, app):
    app.conf.task_always_eager = False
    with app.connection_for_write() as connection:
        connection.ensure_connection()
    app.send_task("add", (1,), serializer="pickle", expires=3)
    app.send_task("elsewhere", (1, 2), queue="theirs")
    add.delay(5, y=6)
    assert watched.tasks == {
        TaskSend(task="add", args=1, serializer="pickle", headers=("expires",)),
        TaskSend(task="elsewhere", args=2, queue="theirs"),
        TaskSend(task="add", args=1, kwargs=("y",)),
    }


def test_what_a_test_sends_itself_is_not_noted(add):
    sent_tasks.install()
    try:
        with noted(lambda path: path == __file__) as found:
            add.delay(1)
            add.s(1).delay()
    finally:
        sent_tasks.remove()
    assert found.tasks == set()


def test_it_is_carried_as_plain_values(watched, add):
    add.apply_async((1,), {"y": 2}, countdown=3)
    tasks, messages = from_data(watched.as_data())
    assert (set(tasks), messages) == (watched.tasks, [])
    assert tasks[0].run
