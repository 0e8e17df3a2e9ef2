"""Which messages of one release the other can't do anything with, and which are no affair of the change's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_backchannel.questions.contract.comparing import ROLLING, WAITING, breaks
from pytest_backchannel.questions.contract.contents import Accepts, Contract, LayerSend, MessageHandler, TaskSend
from pytest_backchannel.questions.contract.contract_routes import is_gone
from pytest_backchannel.questions.contract.signatures import misfit, parse


def release(signature="(order_id)", *, sends=(), messages=(), task="shop.tasks.ship", **accepts):
    values = {"tasks": {task: signature}, "content": ("json",), "routes": ("/ws/",)} | accepts
    return Contract(accepts=Accepts(**values), tasks=tuple(sends), messages=tuple(messages))


def send(args=1, kwargs=(), task="shop.tasks.ship", **values):
    return TaskSend(task=task, args=args, kwargs=tuple(kwargs), **({"queue": "celery", "serializer": "json"} | values))


def found(old, new, *directions):
    return [(one.direction, one.kind, one.detail) for one in breaks(old, new, directions or (WAITING, ROLLING))]


# ------------------------------------------------------------------------- tasks


def test_a_task_that_is_gone_breaks_what_waits_for_it_and_a_new_one_what_is_sent_to_old_workers():
    old = release(sends=[send()])
    new = release(task="shop.tasks.dispatch", sends=[send(task="shop.tasks.dispatch")])
    assert found(old, new) == [(ROLLING, "task", ""), (WAITING, "task", "")]


def test_a_new_task_that_nobody_sends_breaks_nothing():
    old = release(sends=[send()])
    new = replace(old, accepts=replace(old.accepts, tasks={**old.accepts.tasks, "shop.tasks.more": "(a)"}))
    assert found(old, new) == []


def test_a_task_that_nobody_of_the_project_registers_may_be_anothers():
    old = release(sends=[send(task="other.tasks.index")])
    assert found(old, release(sends=[send(task="other.tasks.index"), send(task="other.tasks.more")])) == []


def test_nothing_is_said_of_a_task_where_not_all_are_known():
    assert found(release(sends=[send()]), release(task="shop.tasks.x", all_tasks=False)) == []


@pytest.mark.parametrize(
    ("before", "after", "sent", "why"),
    [
        ("(order_id)", "(order_id, express)", send(), "missing a required argument: 'express'"),
        ("(order_id, express=...)", "(order_id, express)", send(), "missing a required argument: 'express'"),
        ("(order_id, express)", "(order_id)", send(2), "too many positional arguments"),
        ("(order_id)", "(id)", send(0, ["order_id"]), "missing a required argument: 'id'"),
        ("(order_id, **more)", "(order_id)", send(1, ["x"]), "got an unexpected keyword argument 'x'"),
        ("(order_id)", "(*, order_id)", send(), "too many positional arguments"),
        ("(order_id)", "(order_id, /)", send(0, ["order_id"]), "'order_id'"),
    ],
)
def test_arguments_that_do_not_fit_any_more(before, after, sent, why):
    [(direction, kind, detail)] = found(release(before, sends=[sent]), release(after))
    assert (direction, kind) == (WAITING, "arguments")
    assert why in detail


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        ("(order_id)", "(order_id, express=...)", send()),
        ("(order_id)", "(id)", send()),
        ("(order_id, express)", "(order_id, **kwargs)", send(1, ["express"])),
        ("(order_id)", "(*args, **kwargs)", send()),
        ("(order_id)", "", send()),
        ("", "(order_id)", send()),
        # It did not fit before either: a decorator gives it an argument, say.
        ("(tenant, order_id)", "(tenant, order_id, *, more=...)", send()),
    ],
)
def test_arguments_that_fit_or_never_did(before, after, sent):
    if not before:
        sent = send()
    assert found(release(before, sends=[sent]), release(after, sends=[])) == []


def test_code_that_passes_a_new_argument_breaks_old_workers():
    old, new = release("(order_id)", sends=[send()]), release("(order_id, express=...)", sends=[send(), send(2)])
    assert found(old, new) == [(ROLLING, "arguments", "too many positional arguments")]


def test_a_serialiser_that_the_other_does_not_accept():
    old = release(sends=[send(serializer="pickle")], content=("json", "pickle"))
    assert found(old, release(sends=[send()])) == [(WAITING, "serializer", "pickle")]
    # What nobody accepts is not broken by the change.
    assert found(release(sends=[send(serializer="pickle")]), release()) == []


def test_a_queue_that_the_others_workers_do_not_consume():
    old = release(sends=[send()], queues=("celery", "mail"))
    new = release(sends=[send(queue="bulk")], queues=("mail",))
    assert found(old, new) == [(ROLLING, "queue", "bulk"), (WAITING, "queue", "celery")]


def test_a_queue_is_not_told_where_workers_are_not_known_or_it_was_as_it_is():
    assert found(release(sends=[send()], queues=("celery",)), release(sends=[send(queue="bulk")]), WAITING) == []
    same = release(sends=[send(queue="theirs")], queues=("celery",))
    assert found(same, same) == []


def test_a_beat_entry_is_named():
    old = release(sends=[send(0, beat="nightly")], signature="()")
    [one] = breaks(old, release(task="shop.tasks.x"), (WAITING,))
    assert (one.kind, one.beat) == ("task", "nightly")


def test_many_messages_for_a_task_that_is_gone_are_one_break():
    old = release("(a, b=...)", sends=[send(1), send(2), send(1, headers=("eta",))])
    assert len(breaks(old, release(task="shop.tasks.x"))) == 1


# ---------------------------------------------------------------------- messages

ROOM = "shop.consumers.Room"


def handler(name="chat_message", needs=(), asks=(), consumer=ROOM):
    return MessageHandler(consumer=consumer, name=name, needs=tuple(needs), asks=tuple(asks))


def message(*keys, type="chat.message"):
    return LayerSend(type=type, keys=keys)


def test_a_handler_that_is_gone():
    old = release(messages=[message("text")], handlers=[handler()])
    new = release(messages=[message("text", type="chat.text")], handlers=[handler("chat_text")])
    assert found(old, new) == [
        (ROLLING, "handler", f"{ROOM}.chat_text"),
        (WAITING, "handler", f"{ROOM}.chat_message"),
    ]


def test_a_handler_that_one_of_two_consumers_has_lost():
    joins = {ROOM: ("room.{}",), "shop.consumers.Admin": ("room.{}",)}
    both = [handler(), handler(consumer="shop.consumers.Admin")]
    old = release(messages=[message()], handlers=both, consumers=joins)
    assert found(old, release(handlers=both[:1], consumers=joins)) == [
        (WAITING, "handler", "shop.consumers.Admin.chat_message")
    ]
    # It has left the group, too.
    assert found(old, release(handlers=both[:1], consumers={**joins, "shop.consumers.Admin": ()})) == []


def test_a_consumer_may_be_renamed_with_its_handlers():
    old = release(messages=[message("text")], handlers=[handler(needs=["text"])])
    assert found(old, release(handlers=[handler(needs=["text"], consumer="shop.live.Room")])) == []


def test_a_key_that_the_other_needs():
    old = release(messages=[message("text")], handlers=[handler(needs=["text"])])
    new = release(messages=[message("body")], handlers=[handler(needs=["body"])])
    assert found(old, new) == [
        (ROLLING, "keys", f"{ROOM}.chat_message needs text"),
        (WAITING, "keys", f"{ROOM}.chat_message needs body"),
    ]


@pytest.mark.parametrize(
    "new",
    [
        handler(needs=["text"]),  # was needed before, and was missing
        handler(needs=["body"], asks=["version"]),  # it may return before, for a message without a version
        handler(),
    ],
)
def test_a_key_of_which_nothing_can_be_said(new):
    old = release(messages=[message("author")], handlers=[handler(needs=["text"])])
    assert found(old, release(handlers=[new])) == []


def test_what_nobody_of_the_project_takes_is_not_told():
    assert found(release(messages=[message()]), release()) == []
    old = release(messages=[message()], handlers=[handler()])
    assert found(old, release(all_routes=False)) == []


# ------------------------------------------------------------------------ routes


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        ("/ws/rooms/<int:pk>/", "/ws/rooms/<int:room_id>/", False),
        ("/ws/rooms/<int:pk>/", "/ws/rooms/<slug:room>/", False),
        ("/ws/rooms/<int:pk>/", "/ws/rooms/<room>/", False),
        ("/ws/rooms/<room:pk>/", "/ws/rooms/<int:pk>/", False),
        ("/ws/rooms/<slug:pk>/", "/ws/rooms/<int:pk>/", True),
        ("/ws/rooms/<int:pk>/", "/ws/chats/<int:pk>/", True),
        ("/ws/rooms/", "/ws/rooms", True),
        (r"^ws/(?P<pk>\d+)/$", r"^ws/(?P<id>\d+)/$", False),
        (r"^ws/(?P<pk>\d+)/$", r"^ws/(?P<pk>\w+)/$", False),
        (r"^ws/(?P<pk>\d+)/$", r"^live/(?P<pk>\d+)/$", True),
    ],
)
def test_routes(before, after, gone):
    assert is_gone(before, [after]) is gone


def test_a_route_that_is_gone_breaks_pages_that_are_open():
    old = release(routes=("/ws/a/", "/ws/b/"))
    assert found(old, release(routes=("/ws/a/", "/ws/c/"))) == [(WAITING, "route", "")]


# -------------------------------------------------------------------- signatures


def test_a_signature_is_read_from_its_text():
    assert str(parse("(a, /, b=..., *c, d, e=..., **f)")) == "(a, /, b=Ellipsis, *c, d, e=Ellipsis, **f)"
    assert misfit("(a, /, b=..., *c, d)", 1, ["d"]) is None
    assert misfit("", 3, []) is None


@pytest.mark.parametrize("text", ["(a", "(a): pass\nimport os", "(a=)"])
def test_what_is_no_signature_is_refused(text):
    with pytest.raises(ValueError, match="is no signature"):
        parse(text)
