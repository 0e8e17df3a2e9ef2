"""Who has begun a transaction: the code under test, on which line, or the test itself."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ....active import Replaced, Replacement, Slot
from ....database.sharing import code_blocks
from ....events import OWN_FOLDER, definition_of, is_project_file, location
from ...report.seen.around import around

# Where Django begins a transaction whoever calls it, and sends signals in it (5.2–6.1).
_ALWAYS = ("db/models/deletion.py", "db/models/fields/related_descriptors.py")
_OF_A_REQUEST = "core/handlers/"
_OF_A_TEST = "test/testcases.py"


class Entered(NamedTuple):
    """One transaction.

    Attributes:
        of_test: whether the test has begun it.
        text: who has, in words.
    """

    of_test: bool
    text: str


_blocks: Slot[WeakKeyDictionary[Any, Entered]] = Slot("who has begun which transaction", of_the_run=True)
_is_test: Slot[Callable[[str], bool]] = Slot("which files hold tests, for transactions", of_the_run=True)


def install(is_test: Callable[[str], bool]) -> None:
    """Note from now on who begins a transaction; Django is loaded.

    Args:
        is_test: whether a file holds tests.
    """
    _blocks.value, _is_test.value = WeakKeyDictionary(), is_test
    _atomic.install()


def remove() -> None:
    """Note it no more."""
    _atomic.remove()
    _blocks.value = _is_test.value = None


def block_of_the_code() -> str:
    """Who has begun the innermost transaction that the current thread is in and no test has begun; empty for none."""
    known = _blocks.value
    for block in reversed(code_blocks()) if known is not None else ():
        entered = known.get(block) if known is not None else None
        if entered is not None and not entered.of_test:
            return entered.text
    return ""


# --------------------------------------------------------------- who it was


def _entered(start: FrameType | None) -> Entered:
    is_test = _is_test.value or (lambda path: False)
    first = True
    text = ""
    for frame in _outwards(start):
        path = frame.f_code.co_filename
        if path == contextlib.__file__:
            function = frame.f_locals.get("func") if frame.f_code.co_name == "inner" else None
            if function is None or not first:
                continue
            decorated = _decorated(function, is_test, of_request=_is_django(_above(frame), _OF_A_REQUEST))
            if decorated is not None:
                return decorated
            text = f"transaction.atomic() around {_name(function)}"
        elif is_test(path) or _is_django(path, _OF_A_TEST):
            return Entered(True, "")
        elif is_project_file(path):
            at = location(path, frame.f_lineno, frame.f_code.co_qualname)
            return Entered(False, f"{text}, called at {at}" if text else f"transaction.atomic() at {at}")
        elif any(_is_django(path, one) for one in (*_ALWAYS, _OF_A_REQUEST)):
            name = frame.f_code.co_qualname.rpartition("<locals>.")[2]
            return Entered(False, text or f"Django's own transaction in {name}()")
        elif not text:
            text = f"the transaction of {frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}()"
        first = False
    return Entered(False, text or "transaction.atomic()")


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        # Between the block and who begins it are this plugin's own, and nothing else of it is.
        if not frame.f_code.co_filename.startswith(OWN_FOLDER):
            yield frame
        frame = frame.f_back


def _decorated(function: Any, is_test: Callable[[str], bool], *, of_request: bool) -> Entered | None:
    """Whose transaction it is where ``atomic`` is a decorator; None where that does not say it."""
    view = getattr(function, "view_class", None) or getattr(function, "cls", None)
    if isinstance(view, type):
        return Entered(False, f"the transaction of the request, around {view.__module__}.{view.__qualname__}")
    code = getattr(_plain(function), "__code__", None)
    if code is None:
        return None
    if is_test(code.co_filename):
        # A view of the tests' own in a transaction of the request is the code of the test, too.
        return Entered(True, "")
    place = definition_of(code)
    if place is None:
        return None
    kind = "the transaction of the request, around" if of_request else "transaction.atomic() around"
    return Entered(False, f"{kind} {code.co_qualname}() at {place}")


def _plain(function: Any) -> Any:
    for _ in range(20):
        if isinstance(function, partial):
            function = function.func
        unwrapped = inspect.unwrap(function)
        unwrapped = getattr(unwrapped, "__func__", unwrapped)
        if unwrapped is function:
            return function
        function = unwrapped
    return function


def _name(function: Any) -> str:
    return str(getattr(_plain(function), "__qualname__", "a function"))


def _above(frame: FrameType) -> str:
    return next((each.f_code.co_filename for each in _outwards(frame.f_back)), "")


def _is_django(path: str, part: str) -> bool:
    return f"{os.sep}django{os.sep}{part.replace('/', os.sep)}" in path


# --- private API: django.db.transaction.Atomic, Django 5.2–6.1: a block is one of it, also as a decorator, and stands
# --- in connection.atomic_blocks. tests/plugin/audit/test_rollback_kinds.py fails where it is built differently.


def _enter(before: Any, block: Any, *more: Any) -> Any:
    known = _blocks.value
    if known is not None:
        known[block] = _entered(sys._getframe(1))
    return before(block, *more)


def _replacements() -> list[Replacement]:
    from django.db.transaction import Atomic

    return [Replacement(Atomic, "__enter__", around(_enter))]


_atomic = Replaced("who begins a transaction", _replacements, of_the_run=True)

# --- end of private API
