"""What is changed for a while: keys and attributes, and that nothing of it stays."""

from __future__ import annotations

import functools
import inspect
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


def wrapping(function, calls):
    """What a library does that watches calls."""

    @functools.wraps(function)
    def theirs(*args, **kwargs):
        calls.append(args)
        return function(*args, **kwargs)

    return theirs


def test_what_somebody_puts_around_ours_meanwhile_stays_and_ours_only_passes_through():
    def greet(name):
        return f"hello {name}"

    module, calls = types.SimpleNamespace(greet=greet), []
    with replaced(module, "greet", lambda name: "ours"):
        module.greet = theirs = wrapping(module.greet, calls)
        assert module.greet("x") == "ours"
    assert module.greet is theirs
    assert module.greet("x") == "hello x"
    with replaced(module, "greet", lambda name: "ours again"):
        assert module.greet("x") == "ours again"
    assert module.greet is theirs
    assert calls == [("x",), ("x",)]


def test_ours_does_not_stay_where_somebody_puts_back_what_they_found():
    def greet(name):
        return f"hello {name}"

    module = types.SimpleNamespace(greet=greet)
    for _ in range(3):
        with replaced(module, "greet", lambda name: "ours"):
            found, module.greet = module.greet, wrapping(module.greet, [])
        module.greet = found  # they undo it after us, as a fixture of a wider scope does
        assert module.greet("x") == "hello x"
    with replaced(module, "greet", lambda name: "ours"):
        pass
    assert module.greet is greet


def test_what_replaces_a_function_looks_like_it():
    def greet(name): ...

    module = types.SimpleNamespace(greet=greet)
    with replaced(module, "greet", lambda *args: None):
        assert module.greet.__qualname__ == greet.__qualname__
        assert inspect.signature(module.greet) == inspect.signature(greet)


def test_a_class_method_is_replaced_too():
    class Greeter:
        @classmethod
        def greet(cls):
            return "hello"

    with replaced(Greeter, "greet", classmethod(lambda cls: f"ours of {cls.__name__}")):
        assert Greeter.greet() == "ours of Greeter"
    assert Greeter.greet() == "hello"
