"""What is observed becomes code for an assertion, or is left out."""

from __future__ import annotations

from datetime import date

import pytest

from pytest_backchannel.setting_up.trying.probe.expressions import expression, is_telling

KNOWN = [(600001, "order.pk"), (3, "small.pk"), ("c0ffee00", "str(parcel.pk)")]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        ("a 'b'", '''"a 'b'"'''),
        ('a "b"', """'a "b"'"""),
        ([1, ("x",)], '[1, ("x",)]'),
        ({"a": {"b": None}}, '{"a": {"b": None}}'),
        (600001, "order.pk"),
        ({"order": 600001}, '{"order": order.pk}'),
        ("orders.600001", 'f"orders.{order.pk}"'),
        ("{c0ffee00}", 'f"{{{str(parcel.pk)}}}"'),
        (3, "3"),  # a small key is no more than a number
    ],
)
def test_code_for_a_value(value, code):
    assert expression(value, KNOWN) == code


@pytest.mark.parametrize(
    "value", [float("nan"), "x" * 100, "two\nlines", list(range(20)), date(2026, 1, 1), {"a": object()}]
)
def test_what_has_no_code(value):
    assert expression(value, KNOWN) is None


def test_what_says_little():
    assert [code for code in ("None", "[]", "{}", '""', "0", "False") if not is_telling(code)] == [
        "None",
        "[]",
        "{}",
        '""',
    ]
