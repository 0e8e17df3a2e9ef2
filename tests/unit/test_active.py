"""The registry of what is active: one slot, one collection, one replaced function, and the names of all."""

from __future__ import annotations

import ast
import types
from pathlib import Path

import pytest

from pytest_backchannel import active
from pytest_backchannel.active import Replaced, Replacement, Slot, Together, tracked

SOURCE = Path(active.__file__).parent


@pytest.fixture
def registry(monkeypatch):
    """An empty one, without what the plugin itself has active around this test."""
    monkeypatch.setattr(active, "_registry", {})
    return active


def test_a_slot_is_active_while_it_holds_something(registry):
    slot = Slot[str]("clock")
    assert registry.known() == ["clock"]
    assert registry.active() == []
    slot.value = ""
    assert registry.active() == ["clock"]
    slot.value = None
    assert registry.active() == []


def test_what_is_of_the_run_is_named_when_asked_for(registry):
    Slot[int]("watchdog", of_the_run=True).value = 1
    assert registry.active() == []
    assert registry.active(of_the_run=True) == ["watchdog"]


def test_a_collection_is_active_while_something_is_in_it(registry):
    observers: list[int] = tracked("observers", [])
    servers = tracked("servers", {"redis": 1}, of_the_run=True)
    assert registry.active() == []
    observers.append(1)
    assert registry.active() == ["observers"]
    assert registry.active(of_the_run=True) == ["observers", "servers"]
    assert servers == {"redis": 1}


def test_the_latest_of_a_name_counts(registry):
    Slot[int]("clock").value = 1
    Slot[int]("clock")
    assert registry.active() == []


def test_a_replaced_function_is_in_place_while_somebody_needs_it(registry):
    module = types.SimpleNamespace(greet=len)
    replaced = Replaced("greeting", lambda: [Replacement(module, "greet", lambda before: repr)])
    assert module.greet is len
    replaced.install()
    replaced.install()
    assert module.greet is repr
    assert replaced.originals == {"greet": len}
    assert registry.active() == ["greeting"]
    replaced.remove()
    assert module.greet is repr
    replaced.remove()
    assert module.greet is len
    assert registry.active() == []


def test_what_somebody_else_has_put_there_meanwhile_is_kept(registry):
    module = types.SimpleNamespace(greet=len)
    replaced = Replaced("greeting", lambda: [Replacement(module, "greet", lambda before: repr)])
    replaced.install()
    module.greet = theirs = lambda value: repr(value)
    replaced.remove()
    assert module.greet is theirs
    # They undo it after us: ours stands there with nobody who needs it, and knows its original when it is needed again.
    module.greet = repr
    replaced.install()
    assert replaced.originals == {"greet": len}
    replaced.remove()
    assert module.greet is len


def test_a_replacement_that_does_not_exist_leaves_nothing_installed(registry):
    replaced = Replaced("greeting", lambda: [Replacement(types.SimpleNamespace(), "greet", lambda before: repr)])
    with pytest.raises(KeyError, match="greet"):
        replaced.install()
    assert registry.active() == []


class Greeter:
    """A class of another project, whose methods are counted while they are replaced."""

    def __init__(self, name="greeting"):
        self.calls = 0
        self.owner = type("Owner", (), {"greet": lambda self: "hello"})
        self.original = vars(self.owner)["greet"]
        self.replaced = Replaced(name, lambda: [Replacement(self.owner, "greet", self.counted)])

    def counted(self, before):
        def greet(owner):
            self.calls += self.replaced.rules(greet)
            return before(owner)

        return greet

    @property
    def current(self):
        return vars(self.owner)["greet"]

    def greet(self):
        """How many of ours have ruled in one call."""
        self.calls = 0
        assert self.owner().greet() == "hello"
        return self.calls


def theirs_around(function):
    def theirs(*args):
        return function(*args)

    return theirs


@pytest.fixture
def greeter(registry):
    return Greeter()


@pytest.fixture(params=["each", "together"])
def around(request, greeter):
    """What is installed and removed around a test."""
    return greeter.replaced if request.param == "each" else Together(greeter.replaced)


def test_ours_are_made_once_for_what_stands_there(greeter, around):
    found = []
    for _ in range(3):
        around.install()
        found.append(greeter.current)
        assert greeter.greet() == 1
        around.remove()
        assert greeter.current is greeter.original
    assert found == [found[0]] * 3


def test_around_what_somebody_has_wrapped_around_ours_only_the_outer_one_rules(greeter, around):
    around.install()
    greeter.owner.greet = theirs = theirs_around(greeter.current)
    assert greeter.greet() == 1
    around.remove()
    assert greeter.greet() == 0
    for _ in range(3):
        around.install()
        assert greeter.current is not theirs
        assert greeter.greet() == 1
        around.remove()
        assert greeter.current is theirs
    assert greeter.greet() == 0


def test_nothing_of_ours_stays_once_they_have_put_back_what_they_found(greeter, around):
    around.install()
    found = greeter.current
    greeter.owner.greet = theirs_around(found)
    around.remove()
    around.install()
    greeter.owner.greet = found  # at the end of a module, say
    around.remove()
    assert greeter.current is greeter.original
    around.install()
    assert greeter.greet() == 1
    around.remove()
    assert greeter.current is greeter.original


def test_it_rules_again_where_they_have_put_it_back_between_two_tests(greeter, around):
    around.install()
    found = greeter.current
    greeter.owner.greet = theirs_around(found)
    around.remove()
    around.install()
    around.remove()
    greeter.owner.greet = found
    for _ in range(2):
        around.install()
        assert greeter.greet() == 1
        around.remove()
        assert greeter.current is greeter.original


def test_those_that_are_installed_together_are_active_and_may_be_installed_once_more_by_themselves(registry):
    one, other = Greeter("one"), Greeter("other")
    around = Together(one.replaced, other.replaced)
    for _ in range(3):
        around.install()
        assert registry.active() == ["one", "other"]
        other.replaced.install()
        around.remove()
        assert registry.active() == ["other"]
        assert (one.greet(), other.greet()) == (0, 1)
        around.install()
        other.replaced.remove()
        assert (one.greet(), other.greet()) == (1, 1)
        around.remove()
        assert registry.active() == []
        assert (one.current, other.current) == (one.original, other.original)


def test_what_exchanges_them_is_made_once_though_another_needs_one_all_the_time(registry, monkeypatch):
    made = []

    def exchange(members, *, put):
        made.append(put)
        return original(members, put=put)

    original = active._exchange
    monkeypatch.setattr(active, "_exchange", exchange)
    one, other = Greeter("one"), Greeter("other")
    around = Together(one.replaced, other.replaced)
    other.replaced.install()  # from the first test to the last
    for _ in range(3):
        around.install()
        around.install()  # once more, by a fixture of the test
        around.remove()
        assert (one.greet(), other.greet()) == (1, 1)
        around.remove()
        assert (one.current, other.greet()) == (one.original, 1)
    # To make one costs more than all that it saves in a test: one pair for each number of those that need them before.
    assert made == [True, False] * 2, f"made {len(made)} in three tests, and two pairs are enough"
    other.replaced.remove()
    assert other.current is other.original


def test_together_is_all_or_nothing(registry):
    one, other = Greeter("one"), Greeter("other")
    around = Together(one.replaced, other.replaced)
    around.install()
    around.remove()
    original = vars(other.owner)["greet"]
    del other.owner.greet
    with pytest.raises(KeyError, match="greet"):
        around.install()
    assert registry.active() == []
    assert one.current is one.original
    other.owner.greet = original
    around.install()
    assert (one.greet(), other.greet()) == (1, 1)
    around.remove()
    assert (one.current, other.current) == (one.original, other.original)


def test_no_module_keeps_its_state_in_a_global():
    found = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == set()
