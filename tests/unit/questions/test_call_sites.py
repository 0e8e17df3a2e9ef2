"""From which lines tasks are enqueued."""

from __future__ import annotations

import threading

import pytest
from celery import chain
from questions_support import details, whats

from pytest_backchannel.questions.report.seen import call_sites
from pytest_backchannel.tasks.queue import TaskQueue


@pytest.fixture
def t(app):
    @app.task(name="t")
    def t(*args):
        return 1

    t.name  # noqa: B018
    return t


def line_of(function, offset=1):
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}"


def test_each_line_on_the_way(t, seen):
    def inner():
        t.delay()

    def outer():
        inner()

    outer()
    assert details(seen, "enqueued_at") >= {line_of(inner), line_of(outer)}


def test_by_name(app, t, seen):
    def by_name():
        app.send_task("t")

    with TaskQueue(app):
        by_name()
    assert line_of(by_name) in details(seen, "enqueued_at")


def test_by_signature(t, seen):
    def by_signature():
        t.si().apply_async()

    by_signature()
    assert line_of(by_signature) in details(seen, "enqueued_at")
    assert line_of(by_signature) in details(seen, "signed_at")


def test_a_signature_alone_enqueues_nothing(t, seen):
    def build():
        return chain(t.s(), t.s())

    build()
    assert line_of(build) in details(seen, "signed_at")
    assert "enqueued" not in whats(seen)


def test_a_thread_has_no_line_of_who_began_it(t, seen):
    thread = threading.Thread(target=t.delay)
    thread.start()
    thread.join()
    assert "enqueued" in whats(seen)
    assert details(seen, "enqueued_at") == set()


def test_what_on_commit_puts_off_is_of_the_line_that_gave_it(t, seen):
    registered = []

    def original(connection, func, robust=False):
        registered.append(func)

    def view():
        call_sites._on_commit(original, None, t.delay)

    view()
    assert details(seen, "enqueued_at") == set()
    registered[0]()
    assert line_of(view) in details(seen, "enqueued_at")
