"""Patches of ``unittest.mock`` that end: by then, what they have put in place has been called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias
from unittest import mock

from ..active import Replaced, Replacement, tracked
from .report.seen.around import around

Look: TypeAlias = Callable[[Any, str, Any, Any], None]
"""Called with whose attribute was replaced, its name, what stands there, and what stood there before."""


class _Looks(NamedTuple):
    look: Look
    wanted: Callable[[], object]


_looks: list[_Looks] = tracked("who looks at patches that end", [], of_the_run=True)


def watch(look: Look, wanted: Callable[[], object]) -> None:
    """Look at each patch that ends from now on, however it was begun.

    Args:
        look: what looks at it.
        wanted: whether there is anything to look for now.
    """
    _looks.append(_Looks(look, wanted))
    _patches.install()


def forget(look: Look) -> None:
    """Undo one :func:`watch`.

    Args:
        look: what has looked.
    """
    _looks.remove(next(one for one in _looks if one.look is look))
    _patches.remove()


# --- private API: unittest.mock._patch.__exit__ and its attributes target, attribute and temp_original, seen on Python
# --- 3.11–3.14: what ends a patch, however it was begun. pytest-mock ends its patches by the same way.
# --- tests/unit/questions/test_mocked_tasks.py fails where it is built differently.

_MISSING = object()


def _exit(before: Any, patch: Any, *exc_info: Any) -> Any:
    looks = [one.look for one in _looks if one.wanted()]
    if looks and getattr(patch, "is_started", True):
        target, attribute = getattr(patch, "target", None), getattr(patch, "attribute", None)
        if isinstance(attribute, str):
            # Not by getattr(), which might call code of the project's.
            there = vars(target).get(attribute, _MISSING) if hasattr(target, "__dict__") else _MISSING
            if there is not _MISSING:
                for look in looks:
                    look(target, attribute, there, getattr(patch, "temp_original", None))
    return before(patch, *exc_info)


def _replacements() -> list[Replacement]:
    patch_class: Any = getattr(mock, "_patch")  # noqa: B009  (the type stubs know it as a generic class)
    return [Replacement(patch_class, "__exit__", around(_exit))]


_patches = Replaced("patches that end", _replacements, of_the_run=True)

# --- end of private API
