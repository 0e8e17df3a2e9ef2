"""Hears what Celery tells by its signals, and the failures that it only logs: of receivers, errbacks, own handlers."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from celery import signals
from celery.app import trace
from celery.backends import base
from celery.utils.dispatch.signal import _make_id

from ..restoring import replaced
from .outcomes import HandlerError

HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


# --- private API: celery.utils.dispatch.Signal, seen on celery 5.5–5.7: its list of receivers. Its own methods make and
# --- compare keys of all receivers, for each of six signals in each test.

_NO_SENDER = _make_id(None)


class Receivers:
    """Receivers of Celery's signals for a while, whoever sends.

    Args:
        receivers: each signal, with what receives it.
    """

    def __init__(self, receivers: Iterable[tuple[Any, Callable[..., None]]]) -> None:
        self._pairs = [(signal, ((_make_id(receiver), _NO_SENDER), receiver)) for signal, receiver in receivers]

    def connect(self) -> None:
        """Receive from now on."""
        for signal, pair in self._pairs:
            with signal.lock:
                signal.receivers.append(pair)
                signal.sender_receivers_cache.clear()

    def disconnect(self) -> None:
        """Receive no more."""
        for signal, pair in self._pairs:
            with signal.lock:
                for number, other in enumerate(signal.receivers):
                    if other is pair:
                        del signal.receivers[number]
                        break
                signal.sender_receivers_cache.clear()


# --- end of private API


# --- private API: seen on celery 5.5–5.7. The loggers of the modules where Celery catches what a handler raises; there
# --- is no other trace of it. Only `exception()` is looked at, by the function that calls it:
# --- Signal.send; trace_task, for on_success and after_return (celery 5.7); Backend._call_task_errbacks (celery 5.7).

_CELERY = os.path.dirname(os.path.dirname(trace.__file__))
_MODULES: tuple[tuple[Any, str], ...] = (
    (importlib.import_module("celery.utils.dispatch.signal"), "send"),  # its package has a function of this name
    (trace, "trace_task"),
    (base, "_call_task_errbacks"),
)


class _NoWarning:
    """In the place of a function that warns; no function, which would be wrapped anew for each test."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        pass


_NO_WARNING = _NoWarning()


class _Listener:
    """A logger that tells of the exceptions which it logs for one function."""

    def __init__(self, logger: Any, function: str, told: Callable[[HandlerError], None]) -> None:
        self._logger = logger
        self._function = function
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def exception(self, message: Any, *args: Any, **kwargs: Any) -> None:
        """Log it, and tell."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        self._logger.exception(message, *args, **kwargs)
        frame, error = sys._getframe(1), sys.exc_info()[1]
        if error is not None and frame.f_code.co_name == self._function and not _raised_later(frame):
            hook = next((hook for hook in HOOKS if hook in str(message)), None)
            self._told(_error_of_receiver(frame, error) if self._function == "send" else handler_error(error, hook))


def _raised_later(frame: FrameType) -> bool:
    """Whether Celery raises what a receiver has raised: of this signal it does, when a worker starts."""
    return frame.f_locals.get("self") is signals.import_modules


def _error_of_receiver(frame: FrameType, error: BaseException) -> HandlerError:
    signal, receiver, sender = (frame.f_locals.get(name) for name in ("self", "receiver", "sender"))
    named = frame.f_locals.get("named") or {}
    name = getattr(receiver, "__qualname__", None) or repr(receiver)
    request = named.get("request")
    return HandlerError(
        handler=f"{name}, a receiver of the signal {getattr(signal, 'name', signal)},",
        exception=error,
        task=sender if isinstance(sender, str) else getattr(sender, "name", None),
        task_id=named.get("task_id") or getattr(request, "id", None) or (named.get("headers") or {}).get("id"),
    )


def handler_error(error: BaseException, hook: str | None = None) -> HandlerError:
    """The failure of a handler that Celery has called, by the functions that its traceback goes through."""
    found = hook or "Celery's own code around the body"
    step, by_celery = error.__traceback__, False
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_name == "_call_task_errbacks":
            errback = step.tb_frame.f_locals.get("errback")
            found = "an errback" if errback is None else f"the errback {getattr(errback, 'task', errback)}"
        elif hook is None and code.co_name in HOOKS and by_celery:
            found = code.co_name
        by_celery = code.co_filename.startswith(_CELERY)
        step = step.tb_next
    return HandlerError(handler=found, exception=error)


class Listening:
    """Within the block, tell of each handler whose failure Celery only logs.

    Args:
        told: called with each.
    """

    def __init__(self, told: Callable[[HandlerError], None]) -> None:
        self._told = told
        self._replaced: list[replaced] = []

    def __enter__(self) -> None:
        for module, function in _MODULES:
            self._replace(module, "logger", _Listener(module.logger, function, self._told))
        # Celery also warns of what it tells as an internal error. A suite may have warnings as errors; no worker has.
        self._replace(trace, "warn", _NO_WARNING)

    def _replace(self, module: Any, name: str, ours: Any) -> None:
        one = replaced(module, name, ours)
        one.__enter__()
        self._replaced.append(one)

    def __exit__(self, *error: object) -> None:
        while self._replaced:
            self._replaced.pop().__exit__(*error)


# --- end of private API
