"""What a failed expectation says, word for word."""

from __future__ import annotations

import dataclasses
from textwrap import dedent

import pytest
from celery import Celery, _state, chain, chord, group
from recorded_messages import published, recording_app, sent

from pytest_backchannel.errors import BackchannelFailure
from pytest_backchannel.events import Location
from pytest_backchannel.tasks.expect.matching import Elsewhere, assert_empty, assert_enqueued, assert_not_enqueued


@pytest.fixture(scope="module")
def app():
    app = recording_app("texts")

    @app.task(name="shop.confirm", shared=False)
    def confirm(order_id, notify=True):
        return order_id

    @app.task(name="shop.total", shared=False)
    def total(order, *, currency="EUR"):
        return order

    yield app
    app.close()


@pytest.fixture(autouse=True)
def _empty():
    published.clear()


def waiting(app):
    return [
        dataclasses.replace(message, where=Location("/srv/shop/views.py", 10 + index, "view"))
        for index, message in enumerate(sent(app))
    ]


def text_of(function, *args, **kwargs):
    with pytest.raises(BackchannelFailure) as failure:
        function(*args, **kwargs)
    return str(failure.value)


def same(text, wanted):
    assert text == dedent(wanted).strip("\n")


def test_nothing_waits(app):
    same(
        text_of(assert_enqueued, [], app.tasks["shop.confirm"].s(7), app=app),
        """
        Not enqueued: shop.confirm(7)

        No message waits.
        """,
    )


def test_the_same_task_with_other_arguments_and_options(app):
    confirm = app.tasks["shop.confirm"]
    confirm.apply_async((8,), {"notify": False}, priority=3)
    same(
        text_of(assert_enqueued, waiting(app), confirm.s(7).set(queue="mail", priority=5, countdown=10), app=app),
        """
        Not enqueued: shop.confirm(7) queue='mail' priority=5 countdown=10

        What waits:

          shop.confirm(8, notify=False) in 'celery' — enqueued at /srv/shop/views.py:10
            ✗ order_id: wanted 7, found 8
            ✗ notify: wanted True, found False
            ✗ queue: wanted 'mail', found 'celery'
            ✗ priority: wanted 5, found 3
            ✗ countdown: wanted 10, found none
        """,
    )


def test_a_difference_deep_inside_a_value(app):
    total = app.tasks["shop.total"]
    order = {"id": 1, "lines": [{"sku": "a", "price": 3}, {"sku": "b", "price": 4}]}
    total.delay({"id": 1, "lines": [{"sku": "a", "price": 3}, {"sku": "b", "price": 5}]})
    text = text_of(assert_enqueued, waiting(app), total.s(order), app=app)
    assert text.splitlines()[5:] == ["    ✗ order['lines'][1]['price']: wanted 4, found 5"]


def test_the_nearest_of_many_and_the_rest_counted(app):
    confirm, total = app.tasks["shop.confirm"], app.tasks["shop.total"]
    for number in range(20):
        total.delay(number)
    for number in range(5):
        confirm.apply_async((number,), queue="mail")
    confirm.delay(7, notify=False)
    same(
        text_of(assert_enqueued, waiting(app), confirm.s(7), app=app),
        """
        Not enqueued: shop.confirm(7)

        26 messages wait in 'celery', 'mail'. The nearest:

          shop.confirm(0) in 'mail' — enqueued at /srv/shop/views.py:30
            ✗ order_id: wanted 7, found 0

          shop.confirm(1) in 'mail' — enqueued at /srv/shop/views.py:31
            ✗ order_id: wanted 7, found 1

          shop.confirm(2) in 'mail' — enqueued at /srv/shop/views.py:32
            ✗ order_id: wanted 7, found 2

          also waiting: 20 × shop.total, 3 × shop.confirm
        """,
    )


def test_another_task_altogether_and_a_name_with_a_slip(app):
    app.tasks["shop.total"].delay(1)
    same(
        text_of(assert_enqueued, waiting(app), "shop.confrim", app=app),
        """
        Not enqueued: shop.confrim

        What waits:

          shop.total(1) in 'celery' — enqueued at /srv/shop/views.py:10
            ✗ task: wanted 'shop.confrim', found 'shop.total'

        No task is registered as 'shop.confrim'. Did you mean 'shop.confirm'?
        """,
    )


def test_a_chain_that_differs_in_its_second_step(app):
    confirm, total = app.tasks["shop.confirm"], app.tasks["shop.total"]
    chain(confirm.s(1), total.s(currency="USD")).apply_async()
    same(
        text_of(assert_enqueued, waiting(app), chain(confirm.s(1), total.s()), app=app),
        """
        Not enqueued: chain(shop.confirm(1) | shop.total())

        What waits:

          chain(shop.confirm(1) | shop.total(currency='USD')) in 'celery' — enqueued at /srv/shop/views.py:10
            ✗ step 2, currency: wanted 'EUR', found 'USD'
        """,
    )


def test_a_chord_with_a_smaller_header_and_a_group_that_is_none(app):
    confirm, total = app.tasks["shop.confirm"], app.tasks["shop.total"]
    chord([confirm.s(1), confirm.s(2)], total.s()).apply_async()
    text = text_of(assert_enqueued, waiting(app), chord([confirm.s(n) for n in (1, 2, 3)], total.s()), app=app)
    assert "    ✗ number of header tasks: wanted 3, found 2" in text
    assert "chord([shop.confirm(1), shop.confirm(2)], shop.total()) in 'celery' — enqueued at" in text
    published.clear()
    confirm.delay(1)
    text = text_of(assert_enqueued, waiting(app), group(confirm.s(1), confirm.s(2)), app=app)
    assert "    ✗ workflow: wanted a group of 2, found one task, shop.confirm(1)" in text


def test_the_wrong_number_of_times(app):
    confirm = app.tasks["shop.confirm"]
    for _ in range(3):
        confirm.delay(7)
    same(
        text_of(assert_enqueued, waiting(app), confirm, app=app, count=1),
        """
        Enqueued 3 times, wanted once: shop.confirm

          shop.confirm(7) in 'celery' — enqueued at /srv/shop/views.py:10
          shop.confirm(7) in 'celery' — enqueued at /srv/shop/views.py:11
          shop.confirm(7) in 'celery' — enqueued at /srv/shop/views.py:12
        """,
    )


def test_it_has_run_already(app):
    confirm = app.tasks["shop.confirm"]
    confirm.delay(7)
    ran = [Elsewhere("has run already, with SUCCESS", waiting(app))]
    same(
        text_of(assert_enqueued, [], confirm.s(7), app=app, also=ran),
        """
        Not enqueued: shop.confirm(7)

        No message waits.

        It was enqueued once (/srv/shop/views.py:10), but has run already, with SUCCESS.
        """,
    )


def test_enqueued_and_should_not_be_and_a_long_list_is_capped(app):
    confirm = app.tasks["shop.confirm"]
    for number in range(12):
        confirm.delay(number)
    lines = text_of(assert_not_enqueued, waiting(app), confirm, app=app).splitlines()
    assert lines[0] == "Enqueued, and should not be: shop.confirm"
    assert lines[2] == "  shop.confirm(0) in 'celery' — enqueued at /srv/shop/views.py:10"
    assert lines[-1] == "  … and 2 more"
    assert len(lines) == 13
    assert text_of(assert_empty, waiting(app)).startswith("12 messages wait, none should:\n\n  shop.confirm(0)")


def test_a_huge_value_is_cut(app):
    total = app.tasks["shop.total"]
    total.delay("x" * 5000)
    text = text_of(assert_enqueued, waiting(app), total.s("y" * 5000), app=app)
    assert len(text) < 1000
    assert "…" in text


def test_an_unreadable_body(app):
    confirm = app.tasks["shop.confirm"]
    confirm.delay(7)
    published[0][1]["body"] = "bm90IGpzb24="
    text = text_of(assert_enqueued, waiting(app), confirm.s(7), app=app)
    assert "✗ body: wanted a readable message, found DecodeError" in text


def test_of_a_huge_value_the_part_that_differs_is_told(app):
    total = app.tasks["shop.total"]
    order = {f"key {n}": "v" * 50 for n in range(100)}
    total.delay({**order, "key 50": "w", "new": 1})
    text = text_of(assert_enqueued, waiting(app), total.s({**order, "old": [1]}), app=app)
    assert text.splitlines()[-3:] == [
        f"    ✗ order['key 50']: wanted '{'v' * 50}', found 'w'",
        "    ✗ order['old']: wanted [1], found nothing",
        "    ✗ order['new']: wanted nothing, found 1",
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        ([*range(50)], [*range(49)], ["len(order): wanted 50, found 49", "order[49]: wanted 49, found nothing"]),
        ([*range(50)], [*range(1, 50)], ["len(order): wanted 50, found 49", "order[0]: wanted 0, found 1"]),
        (
            "a" * 500 + "X" + "b" * 500,
            "a" * 500 + "Y" + "b" * 500,
            [f"order: wanted …{'a' * 25}X{'b' * 72}…, found …{'a' * 25}Y{'b' * 72}…"],
        ),
        ("a" * 500, "a" * 501, [f"order: wanted …{'a' * 25}', found …{'a' * 26}'"]),
    ],
)
def test_of_long_lists_and_texts_too(app, wanted, found, told):
    total = app.tasks["shop.total"]
    total.delay(found)
    text = text_of(assert_enqueued, waiting(app), total.s(wanted), app=app)
    assert [line for line in text.splitlines() if "✗" in line] == [f"    ✗ {one}" for one in told]


def test_short_values_are_told_whole(app):
    total = app.tasks["shop.total"]
    total.delay({"id": 1, "a": 2})
    text = text_of(assert_enqueued, waiting(app), total.s({"id": 1}), app=app)
    assert "✗ order: wanted {'id': 1}, found {'id': 1, 'a': 2}" in text


def test_run_already_with_other_arguments(app):
    confirm = app.tasks["shop.confirm"]
    confirm.delay(8)
    ran = [Elsewhere("has run already", waiting(app))]
    same(
        text_of(assert_enqueued, [], confirm.s(7), app=app, also=ran),
        """
        Not enqueued: shop.confirm(7)

        No message waits.

        What comes nearest has run already:

          shop.confirm(8) in 'celery' — enqueued at /srv/shop/views.py:10
            ✗ order_id: wanted 7, found 8
        """,
    )
    assert "comes nearest" not in text_of(assert_enqueued, [], app.tasks["shop.total"].s(7), app=app, also=ran)


@pytest.mark.parametrize("shared", [True, False])
def test_a_task_of_another_app(app, shared, monkeypatch):
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    other = Celery("warehouse", broker="memory://", set_as_current=False)

    @other.task(name="warehouse.pack", shared=shared)
    def pack(order_id):
        return order_id

    for expected in (pack, pack.s(7)):
        text = text_of(assert_enqueued, [], expected, app=app)
        assert text.endswith(
            "It is a task of the Celery app 'warehouse', and this task_queue is that of 'texts': what another app "
            "publishes does not come here."
        )
