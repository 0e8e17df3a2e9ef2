"""Expectations against messages that Celery really published."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from celery import chain, chord, group
from dirty_equals import IsFloat, IsInt, IsList, IsPartialDict, IsStr
from recorded_messages import published, recording_app, sent

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.errors import BackchannelFailure, BadExpectation
from pytest_backchannel.tasks.expect.matching import (
    Elsewhere,
    assert_empty,
    assert_enqueued,
    assert_not_enqueued,
    matching,
)


@pytest.fixture(scope="module")
def app():
    app = recording_app("matching")

    @app.task(name="shop.add", shared=False)
    def add(x, y=2, *more, **named):
        return x + y

    @app.task(name="shop.confirm", bind=True, shared=False)
    def confirm(self, order_id, notify=True):
        return order_id

    @app.task(name="shop.pdf", shared=False)
    def pdf(order):
        return order

    @app.task(name="shop.loose", typing=False, shared=False)
    def loose(x):
        return x

    @app.task(name="shop.retrying", bind=True, autoretry_for=(ValueError,), shared=False)
    def retrying(self, x, y=1):
        return x

    yield app
    app.close()


@pytest.fixture(autouse=True)
def _empty():
    published.clear()
    with VirtualClock():  # so that a countdown comes out exact, however busy the machine is
        yield


@pytest.fixture
def add(app):
    return app.tasks["shop.add"]


@pytest.fixture
def confirm(app):
    return app.tasks["shop.confirm"]


@pytest.fixture
def pdf(app):
    return app.tasks["shop.pdf"]


def matches(app, expected):
    return bool(matching(expected, sent(app), app=app))


# ---------------------------------------------------------------- arguments


def test_positional_or_keyword_is_the_same_call_and_defaults_are_filled(app, add, confirm):
    confirm.delay(7)
    for same in (
        confirm.s(7),
        confirm.s(order_id=7),
        confirm.s(7, True),
        confirm.s(7, notify=True),
        confirm.si(7),
        confirm,
        "shop.confirm",
        app.signature("shop.confirm", (7,)),
    ):
        assert matches(app, same), same
    for other in (confirm.s(8), confirm.s(7, notify=False), add, add.s(7), "shop.add"):
        assert not matches(app, other), other
    published.clear()
    confirm.apply_async(kwargs={"order_id": 7, "notify": True})
    assert matches(app, confirm.s(7))


def test_variable_arguments(app, add):
    add.delay(1, 2, 3, 4, extra=5)
    assert matches(app, add.s(1, 2, 3, 4, extra=5))
    assert not matches(app, add.s(1, 2, 3, 5, extra=5))
    assert not matches(app, add.s(1, 2, 3, 4))
    assert not matches(app, add.s(1, 2, 3, 4, 5, extra=5))


def test_a_task_that_retries_by_itself_or_checks_no_arguments(app):
    app.tasks["shop.retrying"].delay(1)
    app.tasks["shop.loose"].delay(1, 2, z=3)
    assert matches(app, app.tasks["shop.retrying"].s(x=1, y=1))
    assert matches(app, app.tasks["shop.loose"].s(1, 2, z=3))
    assert not matches(app, app.tasks["shop.loose"].s(1, 2))


def test_a_name_that_this_project_does_not_register(app):
    app.send_task("other.service", (1,), {"y": 2})
    assert matches(app, "other.service")
    assert matches(app, app.signature("other.service", (1,), {"y": 2}))
    assert not matches(app, app.signature("other.service", (1,)))


def test_dirty_equals_anywhere(app, confirm, pdf):
    confirm.delay(7)
    pdf.delay({"id": 7, "lines": [{"sku": "a", "n": 2}]})
    assert matches(app, confirm.s(IsInt))
    assert not matches(app, confirm.s(IsStr))
    assert matches(app, pdf.s(IsPartialDict(id=7)))
    assert matches(app, pdf.s({"id": IsInt, "lines": [{"sku": IsStr, "n": 2}]}))


def test_the_order_of_a_list_need_not_matter_at_any_depth(app, add, confirm, pdf):
    pdf.delay({"id": 7, "lines": [[{"sku": "b"}, {"sku": "a", "n": [3, 1, 2]}]]})
    any_order = IsList(1, 2, 3, check_order=False)
    lines = [IsList({"sku": "a", "n": any_order}, {"sku": IsStr}, check_order=False)]
    assert matches(app, pdf.s({"id": 7, "lines": lines}))
    assert not matches(app, pdf.s({"id": 7, "lines": [IsList({"sku": "a"}, {"sku": "b"}, check_order=False)]}))
    chain(confirm.s(7), pdf.si([3, 2, 1])).delay()
    assert matches(app, chain(confirm.s(IsInt), pdf.si(any_order)))
    group(add.s([2, 1], y=[1]), add.s(1, 2)).delay()
    assert matches(app, group(add.s(IsList(1, 2, check_order=False), [IsInt]), add.s(1, 2)))
    with pytest.raises(BackchannelFailure) as failure:
        assert_enqueued(sent(app), pdf.s({"id": 7, "lines": [any_order]}), app=app)
    assert "lines'][0]: wanted IsList(1, 2, 3, check_order=False), found [{'sku': 'b'}" in str(failure.value)


def test_values_that_the_serialiser_changes_match_what_they_become(app, pdf):
    class Colour(enum.StrEnum):
        RED = "red"

    values = [
        (1, (2, 3)),
        {1: "one"},
        Colour.RED,
        uuid.UUID(int=7),
        date(2030, 1, 2),
        datetime(2030, 1, 2, 3, tzinfo=UTC),
        Decimal("1.50"),
    ]
    for value in values:
        published.clear()
        pdf.delay(value)
        assert matches(app, pdf.s(value)), value
        assert not matches(app, pdf.s("something else"))


def test_pydantic_models_match_what_they_are_sent_as(app):
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):
        id: int

    def ship(order):
        return order.id

    ship.__annotations__["order"] = Order
    task = app.task(name="shop.ship", pydantic=True, shared=False)(ship)
    if getattr(task, "_dump_pydantic_arguments", None) is None:
        pytest.skip("this Celery does not send models")
    task.delay(Order(id=7))
    assert matches(app, task.s(Order(id=7)))
    assert matches(app, task.s({"id": 7}))
    assert not matches(app, task.s(Order(id=8)))


def test_a_comparison_that_can_not_answer_is_no_match(app, pdf):
    class Array:
        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    pdf.delay(1)
    assert not matches(app, pdf.s(Array()))


# ------------------------------------------------------------------ options


def test_only_the_options_that_it_sets_count(app, add):
    eta = datetime(2030, 1, 1, tzinfo=UTC)
    add.apply_async(
        (1,), queue="slow", countdown=60, expires=90, priority=7, time_limit=30, soft_time_limit=20,
        headers={"tenant": "a"}, retries=2, shadow="nick", ignore_result=True, compression="zlib", serializer="json",
    )  # fmt: skip
    sig = add.s(1)
    assert matches(app, sig)
    right = {
        "queue": "slow", "countdown": 60, "expires": 90, "priority": 7, "time_limit": 30, "soft_time_limit": 20,
        "headers": {"tenant": "a"}, "retries": 2, "shadow": "nick", "ignore_result": True, "compression": "zlib",
        "serializer": "json", "routing_key": "slow", "task_id": IsStr, "retry": True,
    }  # fmt: skip
    assert matches(app, sig.clone().set(**right))
    wrong = {
        "queue": "fast", "countdown": 61, "expires": 91, "priority": 6, "time_limit": 31, "soft_time_limit": 21,
        "headers": {"tenant": "b"}, "retries": 1, "shadow": "n", "ignore_result": False, "compression": "bzip2",
        "serializer": "pickle", "routing_key": "x", "task_id": "x", "eta": eta, "made_up": 1,
    }  # fmt: skip
    for name, value in wrong.items():
        assert not matches(app, sig.clone().set(**{name: value})), name


def test_an_eta_and_an_expiry_by_the_clock(app, add):
    eta = datetime.now(UTC) + timedelta(minutes=5)
    add.apply_async((1,), eta=eta, expires=eta + timedelta(minutes=1))
    assert matches(app, add.s(1).set(eta=eta, expires=eta + timedelta(minutes=1)))
    assert not matches(app, add.s(1).set(eta=eta + timedelta(seconds=1)))
    assert not matches(app, add.s(1).set(expires=eta))
    assert matches(app, add.s(1).set(countdown=IsFloat(exactly=300)))


def test_no_countdown_is_a_countdown_of_zero(app, add):
    add.delay(1)
    assert matches(app, add.s(1).set(countdown=0))
    assert matches(app, add.s(1).set(countdown=None))
    assert not matches(app, add.s(1).set(countdown=1))


def test_links(app, add, confirm):
    add.apply_async((1,), link=[add.s(5), confirm.si(1)], link_error=confirm.s())
    assert matches(app, add.s(1))
    assert matches(app, add.s(1).set(link=[add.s(y=5)]))
    assert matches(app, add.s(1).set(link=confirm.si(1), link_error=confirm.s()))
    assert not matches(app, add.s(1).set(link=[add.s(6)]))
    assert not matches(app, add.s(1).set(link=confirm.s()))
    assert not matches(app, add.s(1).set(link_error=add.s()))


# ---------------------------------------------------------------- workflows


def pairs(add, confirm, pdf):
    """Workflows, all different; each is published, and matches itself alone."""
    return {
        "chain": chain(add.s(1), add.s(2), pdf.s()),
        "chain with another argument": chain(add.s(1), add.s(3), pdf.s()),
        "shorter chain": chain(add.s(1), add.s(2)),
        "chain with an immutable step": chain(add.s(1), add.si(1, 2), pdf.s()),
        "chain with an option on a step": chain(add.s(1), add.s(4).set(queue="slow"), pdf.s()),
        "group": group(add.s(1), add.s(2)),
        "group in another order": group(add.s(2), add.s(1)),
        "larger group": group(add.s(1), add.s(2), add.s(3)),
        "chord": chord([add.s(1), add.s(2)], pdf.s()),
        "chord with another body": chord([add.s(1), add.s(2)], confirm.s()),
        "chord with a chain for a body": chord([add.s(1), add.s(2)], pdf.s() | confirm.s()),
        "group then two steps": group(add.s(3), add.s(4)) | pdf.s() | confirm.s(),
        "chain that ends in a group": chain(add.s(1), group(add.s(2), add.s(3))),
        "chain with a chord inside": chain(add.s(1), group(add.s(2), add.s(3)), pdf.s()),
        "group of chains": group(add.s(1) | add.s(2), add.s(3) | add.s(4)),
        "chord of chains": chord([add.s(1) | add.s(2), add.s(3)], pdf.s()),
        "chord whose body is a group": chord([add.s(1), add.s(2)], group(pdf.s(), confirm.s())),
        "two groups in a row": chain(group(add.s(5), add.s(6)), group(pdf.s(), confirm.s())),
        "chord of one": chord([add.s(8)], pdf.s()),
    }


def test_each_workflow_matches_itself_and_no_other(app, add, confirm, pdf):
    names = list(pairs(add, confirm, pdf))
    # The members of a group are workflows themselves.
    inside = {("group of chains", "shorter chain"), ("chord of chains", "shorter chain")}
    for published_name in names:
        published.clear()
        pairs(add, confirm, pdf)[published_name].apply_async()
        waiting = sent(app)
        assert waiting
        for name in names:
            expected = pairs(add, confirm, pdf)[name]
            found = matching(expected, waiting, app=app)
            wanted = name == published_name or (published_name, name) in inside
            assert bool(found) == wanted, (published_name, name)


def test_nesting_and_splicing_do_not_matter(app, add, pdf):
    chain(add.s(1), chain(add.s(2), pdf.s())).apply_async()
    assert matches(app, add.s(1) | add.s(2) | pdf.s())
    assert matches(app, chain(chain(add.s(1), add.s(y=2)), pdf.s()))
    published.clear()
    group(add.s(1), group(add.s(2), add.s(3))).apply_async()
    assert matches(app, group(add.s(1), add.s(2), add.s(3)))
    published.clear()
    (group(add.s(1), add.s(2)) | pdf.s()).apply_async()
    assert matches(app, chord([add.s(1), add.s(2)], pdf.s()))
    assert matches(app, chain(group(add.s(1), add.s(2)), pdf.s()))


def test_arguments_of_later_steps_are_normalised_behind_the_earlier_result(app, add):
    chain(add.s(1), add.s(5)).apply_async()
    assert matches(app, chain(add.s(x=1), add.s(y=5)))
    assert matches(app, chain(add.s(1, 2), add.s(IsInt)))
    assert not matches(app, chain(add.s(1), add.si(5)))


def test_options_of_a_whole_workflow(app, add, pdf):
    group(add.s(1), add.s(2)).apply_async(queue="slow")
    chain(add.s(3), pdf.s()).apply_async(countdown=10)
    assert matches(app, group(add.s(1), add.s(2)).set(queue="slow"))
    assert not matches(app, group(add.s(1), add.s(2)).set(queue="fast"))
    assert matches(app, chain(add.s(3), pdf.s()).set(countdown=10))
    assert not matches(app, chain(add.s(3), pdf.s()).set(countdown=99))


def test_a_step_matches_inside_a_workflow_too(app, add, pdf):
    chord([add.s(1), add.s(2)], pdf.s()).apply_async()
    assert len(matching(add, sent(app), app=app)) == 2
    assert matches(app, add.s(2))
    assert not matches(app, pdf)


def test_chunks(app, add):
    add.chunks([(1, 1), (2, 2), (3, 3)], 2).apply_async()
    assert matches(app, add.chunks([(1, 1), (2, 2), (3, 3)], 2))
    assert not matches(app, add.chunks([(1, 1), (2, 2), (3, 4)], 2))


# ------------------------------------------------------------------ asserts


def test_assert_enqueued_returns_the_message(app, add):
    result = add.delay(1)
    assert assert_enqueued(sent(app), add.s(1), app=app).id == result.id
    add.delay(1)
    assert assert_enqueued(sent(app), add.s(1), app=app, count=2).id == result.id


def test_assert_not_enqueued_and_assert_empty(app, add, confirm):
    assert_empty([])
    add.delay(1)
    assert_not_enqueued(sent(app), confirm, app=app)
    assert_not_enqueued(sent(app), add.s(2), app=app)
    with pytest.raises(BackchannelFailure, match="Enqueued, and should not be: shop.add"):
        assert_not_enqueued(sent(app), add, app=app)
    with pytest.raises(BackchannelFailure, match="1 message waits, none should"):
        assert_empty(sent(app))


@pytest.mark.parametrize("count", [0, -1, True, "1", 1.0])
def test_a_bad_count(app, add, count):
    with pytest.raises(ValueError, match="give 1 or more; for none, use assert_not_enqueued"):
        assert_enqueued([], add, app=app, count=count)


def test_bad_expectations(app, add, confirm):
    result = add.delay(1)
    with app.producer_or_acquire():
        pass
    cases = {
        r"is the result of a call": result,
        r"is a plain function, not a task: decorate it with @shared_task": test_chunks,
        r"A list is not an expectation: use group": [add.s(1)],
        r"is the class of a task": type(add),
        r"7 is not an expectation": 7,
        r"None is not an expectation": None,
        r"shop.add can't be called as in shop.add\(\): missing a required argument: 'x'. It takes": add.s(),
        r"shop.confirm can't be called as .*: too many positional arguments": confirm.s(1, True, 3),
        r"shop.confirm can't be called as .*: too many positional": chain(add.s(1), confirm.s(True, 3)),
        r"is empty: nothing would be enqueued": group(),
    }
    for text, expected in cases.items():
        with pytest.raises(BadExpectation, match=text):
            matching(expected, sent(app), app=app)
        assert issubclass(BadExpectation, TypeError)


def test_a_name_that_nobody_knows_can_not_be_asserted_absent(app):
    with pytest.raises(BadExpectation, match=r"(?s)can't fail.*as 'shop.comfirm'. Did you mean 'shop.confirm'\?"):
        assert_not_enqueued([], "shop.comfirm", app=app)
    with pytest.raises(BadExpectation, match=r"Did you mean 'shop.confirm'\?"):
        assert_not_enqueued([], app.signature("confirm"), app=app)
    app.send_task("other.service")
    assert_not_enqueued(sent(app), app.signature("other.service", (1,)), app=app)


def test_elsewhere_and_hints(app, add):
    add.delay(1)
    ran = sent(app)
    with pytest.raises(BackchannelFailure) as failure:
        assert_enqueued([], add.s(1), app=app, also=[Elsewhere("has run already", ran)], hints=["Look there."])
    assert str(failure.value).splitlines() == [
        "Not enqueued: shop.add(1)",
        "",
        "No message waits.",
        "",
        "It was enqueued once (an unknown line), but has run already.",
        "",
        "Look there.",
    ]
