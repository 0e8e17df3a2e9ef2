"""One request that the pool runs, from its acceptance to its result, as billiard's pool keeps it."""

# What pyright infers of Celery and kombu, which bring no types, is mostly not what they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import billiard
from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery._state import _task_stack

from .faults import WorkerEnded

# --- private API: billiard.pool, seen on billiard 4.2–4.3: what its ApplyResult, TimeoutHandler and workers tell the
# --- callbacks of a request. Their order is what a project sees of its errbacks, handlers and signals.

# Until 4.2, what is raised in the body and is no Exception ends the process before anything is reported.
REPORTS_EVERYTHING = billiard.VERSION >= (4, 3)


@dataclass(eq=False)
class Job:
    """One request in the pool.

    Args:
        number: its place among the requests that this worker process has given to its pool.
        on_accepted: told that a process has begun (``Request.on_accepted``).
        on_success: told what the tracer has returned (``Request.on_success``).
        on_failure: told of an exception that has left the tracer, or of a lost process (``Request.on_failure``).
        on_timeout: told of a time limit (``Request.on_timeout``).
        failed: told of an exception of one of these; the pool only logs it.

    Attributes:
        ready: whether its end is told.
        timed_out: whether its hard time limit has ended it.
    """

    number: int
    on_accepted: Callable[..., Any] | None
    on_success: Callable[..., Any] | None
    on_failure: Callable[..., Any] | None
    on_timeout: Callable[..., Any] | None
    failed: Callable[[Exception], None]
    ready: bool = False
    timed_out: bool = False

    def accept(self) -> None:
        """A process has taken it."""
        self._tell(self.on_accepted, os.getpid(), time.monotonic())

    def returned(self, value: Any) -> None:
        """The tracer has returned."""
        self.ready = True
        self._tell(self.on_success, value)

    def raised(self, info: ExceptionInfo) -> None:
        """An exception has left the tracer, or there is no process any more that could tell."""
        self.ready = True
        self._tell(self.on_failure, info)

    def lost(self, reason: str) -> None:
        """The process is gone (Pool.mark_as_worker_lost)."""
        self.raised(error_info(WorkerLostError(f"Worker exited prematurely: {reason} Job: {self.number}.")))

    def over_soft_limit(self, limit: float) -> None:
        """The soft time limit has passed (TimeoutHandler.on_soft_timeout)."""
        self._tell(self.on_timeout, soft=True, timeout=limit)

    def over_hard_limit(self, limit: float) -> None:
        """The hard time limit has passed (TimeoutHandler.on_hard_timeout): both callbacks are told, in this order."""
        self.timed_out = True
        self.raised(error_info(TimeLimitExceeded(limit)))
        self._tell(self.on_timeout, soft=False, timeout=limit)

    def _tell(self, callback: Callable[..., Any] | None, *args: Any, **kwargs: Any) -> None:
        """Call back (ApplyResult.safe_apply_callback)."""
        if callback is None:
            return
        # No task is the current one there (celery._state, 5.5–5.7): a limit is told while the body stands on the stack.
        running = _task_stack.stack
        kept = list(running)
        running[:] = []
        try:
            callback(*args, **kwargs)
        except MemoryError as error:
            raise WorkerEnded(error) from error
        except Exception as error:
            self.failed(error)
        finally:
            running[:] = kept


def error_info(error: BaseException) -> ExceptionInfo:
    """An exception as a pool's process reports it."""
    try:
        raise error
    except BaseException:
        return ExceptionInfo()


# --- end of private API
