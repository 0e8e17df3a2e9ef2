"""Where mocks are put while a test runs: a mock knows its name, and not whose attribute it is."""

from __future__ import annotations

from typing import Any
from unittest import mock
from unittest.mock import NonCallableMock

from ...active import Replaced, Replacement, tracked
from ..report.seen.around import around

# By their identity: the name, and the mock, which is kept so that no other one gets its identity.
_put: dict[int, tuple[str, Any]] = tracked("mocks of a test, for the audit", {}, of_the_run=True)


def install() -> None:
    """Note where mocks are put from now on."""
    _patches.install()


def remove() -> None:
    """Note it no more."""
    _patches.remove()
    _put.clear()


def begin_test() -> None:
    """A test begins, and what the last one has put is gone."""
    _put.clear()


def names() -> dict[int, str]:
    """Where each stands, such as ``shop.gateway.charge``, by its identity."""
    return {identity: name for identity, (name, _) in _put.items()}


# --- private API: unittest.mock._patch.__enter__, and getter and attribute, seen on Python 3.11–3.14.
# --- tests/plugin/audit/test_effects_of_bodies.py fails where they are built differently.


def _enter(before: Any, patch: Any) -> Any:
    new = before(patch)
    found = getattr(new, "mock", new) if not isinstance(new, NonCallableMock) else new  # autospec: a function
    if isinstance(found, NonCallableMock):
        _put[id(found)] = (f"{_owner(patch)}.{patch.attribute}", found)
    return new


def _owner(patch: Any) -> str:
    try:
        owner = patch.getter()
        if hasattr(owner, "apply_async") and isinstance(getattr(owner, "name", None), str):
            return str(owner.name)  # a task
        qualified = getattr(owner, "__qualname__", None)
        return f"{owner.__module__}.{qualified}" if qualified else str(owner.__name__)
    except Exception:
        return "?"


def _replacements() -> list[Replacement]:
    patch_class: Any = getattr(mock, "_patch")  # noqa: B009  (the type stubs know it as a generic class)
    return [Replacement(patch_class, "__enter__", around(_enter))]


_patches = Replaced("mocks that are put, for the audit", _replacements, of_the_run=True)

# --- end of private API
