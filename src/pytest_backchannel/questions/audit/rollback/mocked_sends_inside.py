"""Calls of a Mock inside a transaction of the code's, where the Mock stands for what would have enqueued a task."""

from __future__ import annotations

import sys
import threading
from typing import Any
from unittest import mock

from ....active import Replaced, Replacement, tracked
from ....database.sharing import in_code_transaction
from ....events import Location, line_of
from ... import ended_patches
from ...mocked_enqueues import enqueuing_mocks
from ...report.seen.around import around
from .entered_blocks import block_of_the_code
from .sends_inside import ENQUEUED, Found, found

# By identity, with the Mock itself, so that no other gets its identity: the lines that have called it.
_calls: dict[int, tuple[Any, list[tuple[Location, str]]]] = tracked("calls of Mocks inside a transaction", {})


class _Asking(threading.local):
    """Whether this thread asks for its transaction: a Mock that is called for the answer is not asked about."""

    now = False


_asking = _Asking()


def install() -> None:
    """Watch from now on; Celery is loaded."""
    ended_patches.watch(look_at, lambda: found.value)
    _mocks.install()


def remove() -> None:
    """Watch no more."""
    _mocks.remove()
    ended_patches.forget(look_at)


def forget() -> None:
    """A test has ended: forget what was called in it."""
    _calls.clear()


def look_at(target: Any, attribute: str, stands_there: Any, original: Any) -> None:
    """Note the calls inside a transaction of what stands in the place of a task, or of one of its methods.

    Args:
        target: whose attribute is replaced.
        attribute: its name.
        stands_there: what stands there.
        original: what stood there before.
    """
    noted = found.value
    if noted is None or not _calls:
        return
    for task, method, stand_in in enqueuing_mocks(target, attribute, stands_there, original):
        if not method.endswith("_on_commit"):
            for where, block in _calls.get(id(stand_in), (None, []))[1]:
                noted.add(ENQUEUED, str(task.name), where, block, task=task, mocked=True)


# --- private API: unittest.mock.CallableMixin._increment_mock_call, seen on Python 3.11–3.14: it is called for each
# --- call of a Mock, before anything is returned or raised. tests/plugin/audit/test_rollback_kinds.py fails where it
# --- is not.


def _called(before: Any, stand_in: Any, /, *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    noted = found.value
    if noted is not None and not _asking.now:
        _asking.now = True
        try:
            if in_code_transaction():
                _note(stand_in, noted, line_of(sys._getframe(1)))
        finally:
            _asking.now = False
    return before(stand_in, *args, **kwargs)


def _note(stand_in: Any, noted: Found, where: Location | None) -> None:
    block = block_of_the_code()
    if block and where is not None and not noted.is_test(where.path):
        _calls.setdefault(id(stand_in), (stand_in, []))[1].append((where, block))


def _replacements() -> list[Replacement]:
    mixin: Any = getattr(mock, "CallableMixin")  # noqa: B009  (the type stubs know its subclasses)
    return [Replacement(mixin, "_increment_mock_call", around(_called))]


_mocks = Replaced("Mocks inside a transaction", _replacements, of_the_run=True)

# --- end of private API
