from __future__ import annotations

from functools import partial

import pytest
from celery import Celery

from pytest_backchannel.questions.report import facts
from pytest_backchannel.questions.report.seen import bodies, call_sites, celery_signals, mocked_tasks


@pytest.fixture
def app():
    app = Celery("reported", set_as_current=False, broker="memory://", backend="cache+memory://")
    app.task = partial(app.task, shared=False)  # of no other app
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    yield app
    app.close()


@pytest.fixture
def seen():
    """What is watched of tasks; gives the facts as (subject, what)."""
    modules = (bodies, call_sites, mocked_tasks, celery_signals)
    for module in modules:
        module.install()
    try:
        with facts.gathered() as found:
            yield found
    finally:
        for module in reversed(modules):
            module.remove()
