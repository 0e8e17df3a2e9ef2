"""Watches the communicators of Channels and asgiref, so that what they leave behind is seen too.

It changes nothing that a test can see: which exceptions are raised, when, and what a communicator returns.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...active import Replaced, Replacement
from ...events import caller
from . import background, leftovers
from .consumers import Opening, opening

# --- private API: asgiref.testing.ApplicationCommunicator.future, .receive_output and .stop, seen on asgiref 3.9–3.13:
# the application's task is made by the property, cancelled after a time out, and cancelled by stop ---

_openings: weakref.WeakKeyDictionary[Any, Opening] = weakref.WeakKeyDictionary()


def _watched_future(before: property) -> property:
    make: Any = before.fget

    def future(self: Any) -> Any:
        if self._future is not None or not watch.rules(ours):
            return make(self)
        return _open(self, make)

    ours = property(future)
    return ours


def _open(communicator: Any, make: Callable[[Any], Any]) -> Any:
    found = Opening(type(communicator).__name__, communicator.scope, caller(), weakref.ref(communicator))
    application = communicator.application

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

    communicator.application = noted
    try:
        found.task = task = make(communicator)
    finally:
        communicator.application = application
    _openings[communicator] = found
    background.watch(found)
    found.crash_seen = lambda: task.done() and not background.has_unseen_error(task)
    leftovers.add(found, lambda: background.take_error(task))
    return task


def _watched_receive_output(before: Callable[..., Any]) -> Callable[..., Any]:
    async def receive_output(self: Any, timeout: float = 1) -> Any:
        try:
            return await before(self, timeout)
        except TimeoutError:
            _give_up(self)
            raise

    return receive_output


def _watched_stop(before: Callable[..., Any]) -> Callable[..., Any]:
    def stop(self: Any, exceptions: bool = True) -> Any:
        if sys._getframe(1).f_code.co_name != "__del__":
            _give_up(self)
        return before(self, exceptions)

    return stop


def _give_up(communicator: Any) -> None:
    found = _openings.get(communicator)
    if found is not None:
        found.given_up = True


def _replacements() -> list[Replacement]:
    kind: Any = import_module("asgiref.testing").ApplicationCommunicator
    found = [
        Replacement(kind, "receive_output", _watched_receive_output),
        Replacement(kind, "stop", _watched_stop),
    ]
    # Before asgiref 3.9, which the extra asks for, an application begins with its communicator: none is watched, and a
    # suite that has not asked for anything of ours runs on.
    return [Replacement(kind, "future", _watched_future), *found] if "future" in vars(kind) else found


watch = Replaced("watch of communicators", _replacements)


def install() -> None:
    """Watch from now on; each call needs its :func:`remove`."""
    watch.install()


def remove() -> None:
    """Undo one :func:`install`; the last one restores asgiref, but for what somebody else has replaced meanwhile."""
    watch.remove()


# --- end of private API ---
