"""Mocks in the place of tasks: that they were called, and what no task could have taken."""

from __future__ import annotations

import sys
from decimal import Decimal
from types import ModuleType
from unittest.mock import ANY, MagicMock, Mock, patch

import pytest
from questions_support import details, whats

from pytest_backchannel.questions.report.seen import mocked_tasks


@pytest.fixture
def t(app):
    @app.task(name="t")
    def t(order_id, notify=True):
        return order_id

    t.name  # noqa: B018
    return t


def test_a_call_that_fits(t, seen):
    with patch.object(t, "delay") as delay:
        t.delay(1, notify=False)
    assert delay.called
    assert details(seen, "mocked") == {"delay"}
    assert "misfit" not in whats(seen)
    assert "enqueued" not in whats(seen)


def test_one_that_is_never_called_says_nothing(t, seen):
    with patch.object(t, "delay"):
        pass
    assert whats(seen) == set()


def test_wrong_arity(t, seen):
    with patch.object(t, "delay"):
        t.delay(1, 2, 3)
    [text] = details(seen, "misfit")
    assert text.startswith("t(1, 2, 3) does not fit its signature: ")


def test_what_no_message_can_carry(t, seen):
    with patch.object(t, "delay"):
        t.delay(object())
    [text] = details(seen, "misfit")
    assert "order_id = <object object" in text
    assert "the serialiser 'json' can't encode" in text


@pytest.mark.parametrize("value", [Decimal("1.5"), [1, {"a": None}], Mock(), [MagicMock()], ANY])
def test_what_can_be_carried_or_is_made_up_is_no_misfit(t, seen, value):
    with patch.object(t, "delay"):
        t.delay(value)
    assert "mocked" in whats(seen)
    assert "misfit" not in whats(seen)


@pytest.mark.parametrize(
    ("call", "fits"),
    [
        (lambda t: t.apply_async((1,), {"notify": False}, countdown=5), True),
        (lambda t: t.apply_async(args=[1]), True),
        (lambda t: t.apply_async(kwargs={"order_id": 1}), True),
        (lambda t: t.apply_async(), False),
        (lambda t: t.apply_async((1, 2, 3)), False),
    ],
)
def test_apply_async(t, seen, call, fits):
    with patch.object(t, "apply_async"):
        call(t)
    assert ("misfit" not in whats(seen)) is fits


def test_a_task_that_is_replaced_where_it_is_used(t, seen):
    module = ModuleType("its_views")
    module.t = t
    sys.modules["its_views"] = module
    try:
        with patch("its_views.t"):
            module.t.delay()
    finally:
        del sys.modules["its_views"]
    assert details(seen, "mocked") == {"delay"}
    assert len(details(seen, "misfit")) == 1


def test_autospec_and_decorators(t, seen):
    @patch.object(t, "delay", autospec=True)
    def body(delay):
        t.delay(1)

    body()
    assert details(seen, "mocked") == {"delay"}
    assert "misfit" not in whats(seen)


def test_a_patch_that_is_started_and_stopped(t, seen):
    started = patch.object(t, "delay")
    started.start()
    t.delay(1)
    started.stop()
    assert details(seen, "mocked") == {"delay"}


def test_what_is_no_mock_is_told_as_replaced(t, seen):
    before = t.delay
    mocked_tasks.look_at(t, "delay", lambda *args: None, before)
    assert whats(seen) == {"replaced"}


def test_other_patches_are_let_be(t, seen):
    with patch("os.getcwd", return_value="/"), patch.object(t, "name", "other"), patch.dict("os.environ", {"A": "b"}):
        pass
    assert whats(seen) == set()
    assert whats(seen, "task:other") == set()
