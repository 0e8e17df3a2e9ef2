"""Watches the communicators of Channels and asgiref, so that what they leave behind is seen too.

It changes nothing that a test can see: which exceptions are raised, when, and what a communicator returns.
"""

from __future__ import annotations

import sys
import weakref
from importlib import import_module
from typing import Any

from ...active import Replaced, Replacement
from ...events import caller
from . import background, leftovers
from .consumers import Opening, opening

# --- private API: asgiref.testing.ApplicationCommunicator.future, .receive_output and .stop, seen on asgiref 3.9–3.13:
# the application's task is made by the property, cancelled after a time out, and cancelled by stop ---

_openings: weakref.WeakKeyDictionary[Any, Opening] = weakref.WeakKeyDictionary()


def _future(self: Any) -> Any:
    make = _watch.originals["future"].fget
    if not _watch.users or self._future is not None:
        return make(self)
    found = Opening(type(self).__name__, self.scope, caller(), weakref.ref(self))
    application = self.application

    async def noted(scope: Any, receive: Any, send: Any) -> Any:
        async def noting_send(message: Any) -> Any:
            if isinstance(message, dict):
                found.has_sent(str(message.get("type")))
            return await send(message)

        token = opening.set(found)
        try:
            return await application(scope, receive, noting_send)
        finally:
            opening.reset(token)

    self.application = noted
    try:
        found.task = task = make(self)
    finally:
        self.application = application
    _openings[self] = found
    background.watch(found)
    found.crash_seen = lambda: task.done() and not background.has_unseen_error(task)
    leftovers.add(found, lambda: background.take_error(task))
    return task


async def _receive_output(self: Any, timeout: float = 1) -> Any:
    try:
        return await _watch.originals["receive_output"](self, timeout)
    except TimeoutError:
        _give_up(self)
        raise


def _stop(self: Any, exceptions: bool = True) -> Any:
    if sys._getframe(1).f_code.co_name != "__del__":
        _give_up(self)
    return _watch.originals["stop"](self, exceptions)


def _give_up(communicator: Any) -> None:
    found = _openings.get(communicator)
    if found is not None:
        found.given_up = True


_REPLACED = {"future": property(_future), "receive_output": _receive_output, "stop": _stop}


def _replacements() -> list[Replacement]:
    testing: Any = sys.modules.get("asgiref.testing") or import_module("asgiref.testing")
    return [Replacement(testing.ApplicationCommunicator, name, ours) for name, ours in _REPLACED.items()]


_watch = Replaced("watch of communicators", _replacements)


def install() -> None:
    """Watch from now on; each call needs its :func:`remove`."""
    _watch.install()


def remove() -> None:
    """Undo one :func:`install`; the last one restores asgiref, but for what somebody else has replaced meanwhile."""
    _watch.remove()


# --- end of private API ---
