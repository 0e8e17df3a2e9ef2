"""What a test can let go wrong with the next task, each by way of the callbacks that Celery's pools use for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BEFORE, AFTER = "before_body", "after_body"
MOMENTS = (BEFORE, AFTER)


class WorkerDied(BaseException):
    """The whole worker is killed: what holds a message of it hears nothing any more."""

    def __init__(self, when: str) -> None:
        super().__init__(when)
        self.when = when


class WorkerEnded(BaseException):
    """The worker process ends of itself, for an error that Celery can't go on from; it gives back what it has."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


# What billiard's handler of SIGTERM exits with, in the process that ran over its hard time limit.
TERMINATED = -241


class OverTime(SystemExit):
    """The hard time limit was hit while the function ran: its process gets a SIGTERM, which raises this there."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class ChildDied(BaseException):
    """The process that runs the function is killed: nothing of it runs any more."""


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


KILLED = "signal 9 (SIGKILL)"


def exit_reason(error: SystemExit) -> str:
    """What a prefork pool says of a process that has called ``sys.exit()``."""
    code: Any = error.code
    return f"exitcode {0 if code is None else code if isinstance(code, int) else 1}"
