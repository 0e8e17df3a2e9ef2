"""The registry of what is active: one slot, one collection, one replaced function, and the names of all."""

from __future__ import annotations

import ast
import types
from pathlib import Path

import pytest

from pytest_backchannel import active
from pytest_backchannel.active import Replaced, Replacement, Slot, tracked

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
    replaced = Replaced("greeting", lambda: [Replacement(module, "greet", repr)])
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
    replaced = Replaced("greeting", lambda: [Replacement(module, "greet", repr)])
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
    replaced = Replaced("greeting", lambda: [Replacement(types.SimpleNamespace(), "greet", repr)])
    with pytest.raises(KeyError, match="greet"):
        replaced.install()
    assert registry.active() == []


def test_no_module_keeps_its_state_in_a_global():
    found = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == set()
