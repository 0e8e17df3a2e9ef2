"""Coroutines that a test makes and does not await, and tests that run where Channels does not."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from .errors import BackchannelError
from .events import EventLog, Location, caller, current_log

P = ParamSpec("P")
T = TypeVar("T")


def must_await(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorates a coroutine method that tests call: a call that nobody awaits fails the test.

    It does nothing, and what it gives is true: ``assert browser.receive_nothing()`` would hold for ever.
    """

    @functools.wraps(function)
    def around(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        coroutine = function(*args, **kwargs)
        log, name = current_log(), f"{type(args[0]).__name__}.{function.__name__}"
        # It is kept until then, so that it can still be asked: Python's own warning comes when it is thrown away.
        log.at_end(functools.partial(_check, log, coroutine, name, caller(2), running_loop() is None))
        return coroutine

    _mark(around)
    return around


def _check(
    log: EventLog, coroutine: Coroutine[Any, Any, Any], name: str, where: Location | None, in_sync: bool
) -> None:
    if not inspect.iscoroutine(coroutine) or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return
    coroutine.close()  # or Python would warn of it as well
    fix = "make the function that calls it `async def`, and await it there" if in_sync else "await it"
    log.problem(
        "never_awaited", f"{name}() was called and never awaited, so that it did nothing. Fix: {fix}.", where=where
    )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The asyncio loop that runs here; None where there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def require_loop(what: str) -> asyncio.AbstractEventLoop:
    """The asyncio loop that runs here.

    Args:
        what: what needs it; the beginning of a sentence.

    Raises:
        BackchannelError: there is none; the message says how to come by one.
    """
    __tracebackhide__ = True
    loop = running_loop()
    if loop is not None:
        return loop
    if _on_trio():
        raise BackchannelError(
            f"{what} needs an asyncio loop, and this test runs on trio, as it does by default where anyio finds trio "
            "installed; Channels knows asyncio alone. Fix: a fixture `anyio_backend` in conftest.py that returns "
            "'asyncio'."
        )
    raise BackchannelError(
        f"{what} needs a running asyncio loop: the test must be an 'async def', run by pytest-asyncio, by anyio's "
        "asyncio backend (Channels does not run on trio) or by a Django TestCase"
    )


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):
        return False
    return True


# --- private API: asyncio's marker of functions that return coroutines, Python 3.11; 3.12 has a function for it. Django
# and asgiref ask for it before they call one.


def _mark(function: Callable[..., Any]) -> None:
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(function)
    else:
        function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]


# --- end of private API
