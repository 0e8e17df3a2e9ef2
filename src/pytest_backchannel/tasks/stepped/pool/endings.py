"""How the process that ran a body has ended with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Ignore, Reject, Retry

from ...outcomes import Outcome, TaskFailure, TaskRetry, TaskSuccess
from .delivery import Delivery
from .job import Job, error_info


@dataclass(frozen=True)
class End:
    """How the process that ran a body has ended with it.

    Attributes:
        state: Celery's state.
        shown: what the log shows of it.
        tell: tells the request.
        kind: of the outcome; None where none is to be kept, unless the task has failed.
        fields: of the outcome.
    """

    state: str = "PENDING"
    shown: str = ""
    tell: Callable[[], None] = lambda: None
    kind: type[Outcome] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def end_of(report: Any, delivery: Delivery) -> End:
    """What a tracer that has returned says."""
    failed, value, _ = report
    tell = partial(delivery.job.returned, report)
    if not failed:
        return End("SUCCESS", str(value), tell, TaskSuccess, {"result": delivery.result})
    exception = _exception_of(value)
    if isinstance(exception, Retry):
        return End("RETRY", str(exception), tell, TaskRetry, _retry_fields(exception))
    if isinstance(exception, Reject):
        return End("REJECTED", repr(exception), tell, Outcome)
    if isinstance(exception, Ignore):
        return End("IGNORED", repr(exception), tell, Outcome)
    # Celery hands over a copy where the exception can't be pickled.
    return End("FAILURE", repr(exception), tell, TaskFailure, {"exception": exception})


def failed_outside(error: BaseException, job: Job) -> End:
    """An exception has left the tracer, or there was no call of it at all."""
    return End("FAILURE", repr(error), partial(job.raised, error_info(error)), TaskFailure, {"exception": error})


def _exception_of(info: Any) -> BaseException:
    exception: Any = info.exception
    found: BaseException = exception.exc if isinstance(exception, ExceptionWithTraceback) else exception
    return found


def _retry_fields(retry: Retry) -> dict[str, Any]:
    numeric = isinstance(retry.when, int | float)
    return {
        "countdown": float(retry.when) if numeric else None,
        "eta": None if numeric else retry.when,
        "exc": retry.exc,
    }
