"""What is asked of each part of a project, and what makes a gap of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from questions_support import known_project, route, task

from pytest_backchannel.questions.report.items.done import Done
from pytest_backchannel.questions.report.items.patterns import is_of_pattern, matches, pattern_of, readable
from pytest_backchannel.questions.report.making import make_report
from pytest_backchannel.questions.report.model import NOT_KNOWN, TestRun
from pytest_backchannel.source import EnqueueSite, Place, SourceIndex, Surroundings
from pytest_backchannel.source.channel_facts import Branch, ConsumerDef, Dispatch, GroupUse

TASK = "task:shop.tasks.ship"


def report(known, facts=(), **values):
    """Of one test with these facts, each as (subject, what) or (subject, what, detail)."""
    found = {"test_it": [(*fact, "")[:3] for fact in facts]}
    return make_report(known, Done(found), [TestRun(id="test_it", outcome="passed")], **values)


def sentences(*args, **values):
    return [gap.sentence for gap in report(*args, **values).gaps]


# ------------------------------------------------------------------------- tasks


def test_a_task_that_never_runs_is_told_once():
    made = report(known_project(tasks=[task(autoretries=True, acks_late=True)]))
    assert [gap.sentence for gap in made.gaps] == ["ship: never run"]
    assert set(made.gaps[0].implies) == {"as_task", "succeeded", "retried", "exhausted", "twice"}
    assert made.wanted == 6
    assert made.percent == 0


def test_a_plain_task_that_has_run_as_one_is_complete():
    assert sentences(known_project(tasks=[task()]), [(TASK, "eager"), (TASK, "succeeded")]) == []


def test_a_task_called_as_a_function():
    found = sentences(known_project(tasks=[task()]), [(TASK, "function"), (TASK, "succeeded")])
    assert found == ["ship: only called as a function, never as a task"]


RAN = [(TASK, "stepped"), (TASK, "succeeded")]


@pytest.mark.parametrize(
    ("values", "facts", "wanted"),
    [
        ({"autoretries": True}, [], ["ship: never retried", "ship: never out of retries"]),
        ({"autoretries": True}, [(TASK, "retried")], ["ship: never out of retries"]),
        ({"autoretries": True, "max_retries": None}, [], ["ship: never retried"]),
        ({"own_retry": True, "bound": True}, [(TASK, "exhausted")], ["ship: never retried"]),
        ({"own_retry": True}, [], []),  # a name of something else
        ({"acks_late": True}, [], ["ship: never delivered twice"]),
        ({"acks_late": True}, [(TASK, "twice")], []),
        ({"expires": 60}, [], ["ship: never expired"]),
        ({"own_reject": True}, [], ["ship: never rejected"]),
        ({"hooks": ["on_failure"]}, [(TASK, "failed")], ["ship: its on_failure has never run"]),
        ({"hooks": ["on_failure"]}, [(TASK, "hook:on_failure")], []),
    ],
)
def test_what_is_asked_where_it_makes_sense(values, facts, wanted):
    assert sentences(known_project(tasks=[task(**values)]), [*RAN, *facts]) == wanted


def test_a_mock_is_no_run_and_its_calls_have_to_fit():
    known = known_project(tasks=[task()])
    assert sentences(known, [(TASK, "mocked", "delay")]) == ["ship: never run, and mocked away"]
    found = sentences(known, [*RAN, (TASK, "mocked", "delay"), (TASK, "misfit", "ship(1, 2) does not fit")])
    assert found == ["ship: a mock took what no task could: ship(1, 2) does not fit"]


def test_tasks_of_others_are_not_asked_for():
    tasks = [task("celery.backend_cleanup"), task("dep.tasks.send", file="/v/site-packages/dep/tasks.py")]
    assert report(known_project(tasks=tasks)).items == []


# --------------------------------------------------------------------- call sites


def site(line=7, end_line=7, **values):
    values = {"kind": "enqueue", "task": "shop.tasks.ship", "method": "delay", "resolved": True, **values}
    place = Place(path="shop/views.py", line=line, end_line=end_line, module="shop.views", inside="buy")
    return EnqueueSite(key=f"enqueue:shop.views.buy->ship#{line}", place=place, target="ship", **values)


def called(*sites):
    return known_project(tasks=[task()], index=SourceIndex(root="/site", files=1, parsed=1, enqueues=sites))


def at(line, what="enqueued_at"):
    return (TASK, what, f"/site/shop/views.py:{line}")


def test_a_place_that_no_test_came_by():
    made = report(called(site(7), site(9)), [*RAN, (TASK, "enqueued"), at(7)])
    assert [gap.sentence for gap in made.gaps] == ["buy → ship: never enqueued from there"]
    assert made.gaps[0].key == "enqueue:shop.views.buy->ship#9#enqueued"
    assert str(made.gaps[0].where) == "shop/views.py:9"


def test_a_call_over_several_lines():
    assert sentences(called(site(7, 9)), [*RAN, at(8)]) == []


def test_a_signature_counts_where_something_was_enqueued():
    known = called(site(kind="signature", method="s"))
    assert sentences(known, [*RAN, at(7, "signed_at")]) == []
    assert sentences(known, [at(7, "signed_at")])[1:] == ["buy → ship: never enqueued from there"]


def test_a_place_whose_task_is_mocked():
    found = sentences(called(site()), [*RAN, (TASK, "mocked", "delay")])
    assert found == ["buy → ship: never enqueued from there (its task is mocked away)"]


def test_what_is_put_off_and_comes_from_nowhere_is_not_known():
    put_off = called(site(called=False, around=Surroundings(in_on_commit=True)))
    assert sentences(put_off, [*RAN, (TASK, "enqueued")]) == []
    assert sentences(put_off, [*RAN, (TASK, "enqueued"), at(99)]) == ["buy → ship: never enqueued from there"]
    assert sentences(called(site()), [*RAN, (TASK, "enqueued")]) == ["buy → ship: never enqueued from there"]


def test_what_may_have_been_enqueued_in_a_worker_process_is_not_known():
    told = [*RAN, (TASK, "real"), (TASK, "enqueued"), at(99)]
    assert sentences(called(site()), told) == ["buy → ship: never enqueued from there"]
    assert sentences(called(site()), told[:-1]) == []
    assert sentences(called(site(kind="signature")), told) == []


# ------------------------------------------------------------------------ routes

ROOM = "shop.consumers.Room"


def through(what, path="/ws/rooms/7/", consumer=ROOM):
    return (f"socket:{path}", what, consumer)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([], "never connected to"),
        ([through("class:accepted", "/anything/")], "only as a class, never through the application"),
        ([through("router:accepted")], "only by a router of the test's own, never through the application"),
        ([through("application:refused")], "only ever refused"),
        ([through("application:crashed")], "crashed whenever it was connected to"),
        ([through("application:accepted", consumer="shop.consumers.Other")], "never connected to"),
    ],
)
def test_a_route(facts, words):
    assert sentences(known_project(routes=[route()]), facts) == [f"ws/rooms/<int:room>/: {words}"]


def test_a_refusal_is_asked_for_where_the_code_can_refuse():
    connected = [through("application:accepted")]
    assert sentences(known_project(routes=[route()]), connected) == []
    refusing = known_project(routes=[route(may_refuse=True)])
    assert sentences(refusing, connected) == ["ws/rooms/<int:room>/: never refused"]
    assert sentences(refusing, [*connected, through("application:refused", consumer="")]) == []


def test_two_routes_of_one_consumer_are_told_apart_by_their_paths():
    routes = [route(), route("/ws/lobby/")]
    assert sentences(known_project(routes=routes), [through("application:accepted", "/ws/lobby/")]) == [
        "ws/rooms/<int:room>/: never connected to"
    ]


def test_handlers_and_helpers():
    methods = {"connect": 2, "room_said": 5, "describe": 9, "receive": 11, "receive_json": 12}
    known = known_project(routes=[route(handlers=["describe", "room_said"], helpers=["describe"], methods=methods)])
    connected = [through("application:accepted"), (f"handler:{ROOM}.websocket_connect", "run")]
    assert sentences(known, connected) == ["Room.receive_json: never run", "Room.room_said: never run"]
    run = [(f"handler:{ROOM}.room_said", "run"), (f"handler:{ROOM}.websocket_receive", "run")]
    assert sentences(known, [*connected, *run]) == []


def test_frames_by_their_values():
    place = Place(path="shop/consumers.py", line=3, end_line=3, module="shop.consumers")
    branches = tuple(Branch(key=f"json:{ROOM}.{name}", value=name, line=4) for name in ("join", "leave"))
    dispatches = tuple(
        Dispatch(consumer=ROOM, field=field, style="if", branches=branches, has_default=True, place=place)
        for field in ("action",)
    )
    consumer = ConsumerDef(
        key="consumer", name=ROOM, place=place, bases=(), generic="", protocol="websocket", is_async=True,
        is_json=True, dispatches=dispatches,
    )  # fmt: skip
    index = SourceIndex(root="/site", files=1, parsed=1, consumers={ROOM: consumer})
    known = known_project(routes=[route()], index=index)
    found = sentences(known, [through("application:accepted"), (f"frame:{ROOM}", "received", "action=join")])
    assert found == ['Room {"action": "leave"}: never received']


# ---------------------------------------------------------------- groups, messages


def use(group="room_{}", kind="room.said", action="send"):
    place = Place(path="shop/live.py", line=3, end_line=3, module="shop.live")
    return GroupUse(key="use", place=place, action=action, group=group, group_source="", message_type=kind)


def messages(*uses):
    index = SourceIndex(root="/site", files=1, parsed=1, group_uses=uses)
    return known_project(routes=[route(handlers=["room_said"])], index=index)


CONNECTED = [through("application:accepted"), (f"handler:{ROOM}.room_said", "run")]


def test_a_group_to_which_nothing_came():
    known = messages(use())
    assert sentences(known, CONNECTED) == ["room_{}: never sent to"]
    lost = [("group:room_7", "sent", "room.said"), ("group:room_7", "lost", "no_members")]
    assert sentences(known, [*CONNECTED, *lost]) == ["room_{}: no group send ever arrived (lost: no_members)"]
    done = [("group:room_7", "delivered", "room.said"), ("message:room.said", "handled")]
    assert sentences(known, [*CONNECTED, *lost, *done]) == []


def test_on_a_layer_that_is_not_watched_nothing_is_said():
    made = report(messages(use()), [*CONNECTED, ("layer:default", "unseen", "its layer is another")])
    assert made.gaps == []
    assert made.item("group:room_{}").facets["delivered"].state == NOT_KNOWN
    [line] = made.not_known
    assert line == "groups: its layer is another"


def test_a_type_that_nobody_handles():
    found = sentences(messages(use(kind="room.sayd")), [*CONNECTED, ("group:room_7", "delivered")])
    assert found == ["room.sayd: no consumer of the project handles it"]


def test_a_type_of_a_test_alone_is_the_tests_own_affair():
    assert sentences(messages(), [*CONNECTED, ("message:no.such", "sent")]) == []


def test_groups_whose_name_only_a_run_knows_are_one():
    known = messages(use("{}"))
    facts = [("group:lobby", "delivered"), ("group:x7", "delivered"), ("message:room.said", "handled")]
    assert [item.key for item in report(known, [*CONNECTED, *facts]).items if item.kind == "group"] == ["group:{}"]


# ---------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/ws/rooms/<int:room>/", "/ws/rooms/<int:room>/"),
        (r"/^ws/rooms/(?P<room>\w+)/$", "/ws/rooms/<room>/"),
        (r"/ws/(?P<kind>(a|b))/(?P<n>\d+)/?$", "/ws/<kind>/<n>/"),
        (r"/ws/a\.b/", "/ws/a.b/"),
    ],
)
def test_a_path_as_people_write_it(path, text):
    assert readable(path) == text


@pytest.mark.parametrize(
    ("route", "path", "is_of_it"),
    [
        ("/ws/<int:n>/", "/ws/7/", True),
        ("/ws/<int:n>/", "/ws/x/", False),
        ("/ws/<room:r>/", "/ws/x-y/", True),
        ("/ws/<room:r>/", "/ws/x/y/", False),
        (r"/^ws/(?P<room>\w+)/$", "/ws/x/", True),
        (r"/ws/(?P<room>\w+)/$", "/ws/x/y/", False),
        ("/ws/a.b/", "/ws/aXb/", False),
    ],
)
def test_whether_a_path_is_of_a_route(route, path, is_of_it):
    assert matches(route, path) is is_of_it


def test_names_of_groups():
    assert pattern_of("invoice.17") == "invoice.{}"
    assert pattern_of("u-550e8400-e29b-41d4-a716-446655440000") == "u-{}"
    assert is_of_pattern("invoice.17", "invoice.{}")
    assert not is_of_pattern("invoices", "invoice.{}")


# ------------------------------------------------------------------------- omit


@pytest.mark.parametrize("pattern", ["task:shop.tasks.*", "shop.tasks.ship", "shop/tasks.py", "shop/*"])
def test_what_is_left_out(pattern):
    made = report(known_project(tasks=[task()]), omit=[pattern])
    assert (made.items, made.omitted, made.gaps) == ([], 1, [])


def test_places_are_relative_to_the_root():
    known = known_project()
    assert str(known.place("/site/shop/tasks.py", 3)) == "shop/tasks.py:3"
    assert str(known.place(str(Path("/elsewhere/x.py")), 3)) == "/elsewhere/x.py:3"
    assert known.place("") is None
