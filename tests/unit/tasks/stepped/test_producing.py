"""The producer that is kept: what it says in fewer steps is what Celery says."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.app.amqp import AMQP

from pytest_backchannel.tasks.stepped.producing import SHORT, keeping_connections


@pytest.mark.parametrize(
    "args",
    [
        (), (7,), (1, 2), [1], [], (True, None, -3), (10**30,), tuple(range(200)), ("it's",), (1.5, b"x"), ((1,), 2),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("kwargs", [{}, {"n": 1}], ids=str)
def test_a_message_is_that_of_celery_itself(args: Any, kwargs: Any):
    app = Celery("producing", broker="memory://", set_as_current=False)
    ours, theirs = keeping_connections(AMQP)(app=app), AMQP(app=app)
    assert ours.as_task_v2("an-id", "a.task", args, kwargs) == theirs.as_task_v2("an-id", "a.task", args, kwargs)


def test_a_long_text_is_cut_as_celery_does():
    app = Celery("producing", broker="memory://", set_as_current=False)
    ours, theirs = keeping_connections(AMQP)(app=app), AMQP(app=app)
    args = (10 ** (2 * SHORT),) * 9
    assert ours.as_task_v2("an-id", "a.task", args).headers == theirs.as_task_v2("an-id", "a.task", args).headers
    given = ours.as_task_v2("an-id", "a.task", args=(1,), argsrepr="hidden").headers["argsrepr"]
    assert given == "hidden"
