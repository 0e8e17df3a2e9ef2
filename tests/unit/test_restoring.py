"""What is changed for a while: keys and attributes, and that nothing of it stays."""

from __future__ import annotations

import types

import pytest

from pytest_backchannel.restoring import MISSING, changed, exchange, put, replaced


def test_keys_have_other_values_or_are_gone_within_the_block():
    settings = {"broker": "redis", "backend": "rpc"}
    with changed(settings, {"broker": "memory", "backend": MISSING, "queue": "mail", "exchange": MISSING}):
        assert settings == {"broker": "memory", "queue": "mail"}
    assert settings == {"broker": "redis", "backend": "rpc"}


def test_what_an_exchange_returns_puts_everything_back():
    settings = {"broker": "redis"}
    before = exchange(settings, {"broker": "memory", "queue": "mail"})
    settings["other"] = "kept"
    put(settings, before)
    assert settings == {"broker": "redis", "other": "kept"}


def test_they_are_put_back_after_an_exception():
    settings, module = {"broker": "redis"}, types.SimpleNamespace(greet=len)
    with pytest.raises(ZeroDivisionError), changed(settings, {"broker": MISSING}), replaced(module, "greet", repr):
        module.greet(1 / 0)
    assert settings == {"broker": "redis"}
    assert module.greet is len


def test_only_what_the_owner_has_itself_is_replaced():
    class Base:
        def greet(self): ...

    class Derived(Base): ...

    with pytest.raises(KeyError, match="greet"), replaced(Derived, "greet", None):
        pass
