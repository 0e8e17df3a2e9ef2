"""What a test can let go wrong with the next task, each by way of the callbacks that Celery's pools use for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError

BEFORE, AFTER = "before_body", "after_body"
MOMENTS = (BEFORE, AFTER)


class WorkerDied(BaseException):
    """The whole worker is killed: what holds a message of it hears nothing any more."""

    def __init__(self, when: str) -> None:
        super().__init__(when)
        self.when = when


class OverTime(BaseException):
    """The hard time limit was hit while the function ran: the process that runs it is killed."""

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.limit = limit


class ChildDied(BaseException):
    """The process that runs the function is gone, after the function has ended."""


@dataclass(frozen=True)
class Fault:
    """One fault, for the next task that it fits.

    Args:
        kind: ``kill_worker``, ``lose_child`` or ``time_limit``.
        when: ``before_body`` or ``after_body``.
        task: the name of the task that it is for; None fits each.
        worker: the name of the worker that it is for; None fits each.
    """

    kind: str
    when: str
    task: str | None = None
    worker: str | None = None

    def fits(self, task: str, worker: str) -> bool:
        """Whether it is for this task and this worker."""
        return self.task in (None, task) and self.worker in (None, worker)


def check_moment(when: object) -> str:
    """``when``, where it is a moment at which a fault can happen.

    Raises:
        ValueError: it is none.
    """
    if when not in MOMENTS:
        raise ValueError(f"when={when!r}: choose one of {', '.join(map(repr, MOMENTS))}")
    return str(when)


def lost_child(reason: str = "signal 9 (SIGKILL)") -> ExceptionInfo:
    """What a prefork pool reports when the process that ran a task is gone (billiard 4.2: pool.mark_as_worker_lost)."""
    try:
        raise WorkerLostError(f"Worker exited prematurely: {reason}.")
    except WorkerLostError:
        return ExceptionInfo()


def exit_reason(error: SystemExit) -> str:
    """What a prefork pool says of a process that has called ``sys.exit()``."""
    code: Any = error.code
    return f"exitcode {0 if code is None else code if isinstance(code, int) else 1}"
