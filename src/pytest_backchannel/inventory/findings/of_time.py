"""Times that do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from ..celery_inventory import CeleryInventory, KnownTask
from .finding import Finding, in_short, of_celery, own_tasks, visibility_timeout

DEFAULT_RETRY_DELAY = 180
"""Of a task that does not say, in seconds (celery/app/task.py, 5.5–5.7)."""


@of_celery
def time_limit_beyond_visibility(celery: CeleryInventory) -> Iterator[Finding]:
    """The same for many tasks is one finding: mostly it is the limit of all."""
    timeout = visibility_timeout(celery)
    if timeout is None:
        return
    found: dict[float, list[str]] = {}
    for task in own_tasks(celery):
        limit = _limit(task, celery.settings.get("task_time_limit"))
        if task.options.get("acks_late") and limit is not None and limit > timeout:
            found.setdefault(limit, []).append(task.name)
    for limit, names in found.items():
        yield Finding(
            name="time_limit_beyond_visibility",
            text=f"with acks_late and a time limit of {limit:g} s, {in_short(names)} may outlast the visibility "
            f"timeout of {timeout:g} s: the broker then delivers the message again, and it runs twice at once. Fix: a "
            "longer visibility_timeout in broker_transport_options, or a lower time limit.",
        )


@of_celery
def retry_beyond_visibility(celery: CeleryInventory) -> Iterator[Finding]:
    """A worker holds the message of a retry until it is due, unacknowledged."""
    timeout = visibility_timeout(celery)
    if timeout is None:
        return
    for task in own_tasks(celery):
        delay = _longest_delay(task)
        if delay is not None and delay > timeout:
            yield Finding(
                name="retry_beyond_visibility",
                text=f"a retry of {task.name} waits for {delay:g} s, and after {timeout:g} s (the visibility timeout) "
                "the broker delivers its message again: it runs more than once. Fix: a shorter delay, or a longer "
                "visibility_timeout in broker_transport_options.",
            )


@of_celery
def retry_after_expiry(celery: CeleryInventory) -> Iterator[Finding]:
    """A retry has the expiry of the first message: a moment, and no time from its own publishing."""
    for task in own_tasks(celery):
        expires, delay = task.options.get("expires"), _first_delay(task)
        if isinstance(expires, int | float) and delay is not None and delay >= expires:
            yield Finding(
                name="retry_after_expiry",
                text=f"{task.name} expires {expires:g} s after it was enqueued, and its first retry comes after "
                f"{delay:g} s: it is never retried. Fix: a longer expires, or a shorter delay.",
            )


@of_celery
def results_expire_early(celery: CeleryInventory) -> Iterator[Finding]:
    """A chord's body gets the results of all parts, the first of which may be old by then."""
    if not celery.chords:
        return
    kept = celery.settings.get("result_expires")
    limits = [
        limit
        for task in own_tasks(celery)
        if (limit := _limit(task, celery.settings.get("task_time_limit"))) is not None
    ]
    longest = max(limits, default=None)
    if isinstance(kept, int | float) and kept > 0 and longest is not None and kept < longest:
        yield Finding(
            name="results_expire_early",
            text=f"results are kept for {kept:g} s (result_expires), a task may run for {longest:g} s, and "
            f"{in_short(celery.chords)} has chords: one whose last part takes as long never ends. Fix: a longer "
            "result_expires.",
        )


def _limit(task: KnownTask, of_all: object) -> float | None:
    """How long a task may run, by its hard limit or else its soft one; None where it has none."""
    own = task.options.get("time_limit") or of_all or task.options.get("soft_time_limit")
    return float(own) if isinstance(own, int | float) else None


def _first_delay(task: KnownTask) -> float | None:
    """How long its first retry waits; None where nothing says that it is retried."""
    options = task.options
    backoff = options.get("retry_backoff")
    if options.get("autoretries") and backoff:
        return float(backoff)
    delay = options.get("default_retry_delay")
    if not isinstance(delay, int | float) or (delay == DEFAULT_RETRY_DELAY and not options.get("autoretries")):
        return None
    return float(delay)


def _longest_delay(task: KnownTask) -> float | None:
    """How long the last of its retries may wait; None where nothing says that it is retried."""
    options = task.options
    backoff, retries = options.get("retry_backoff"), options.get("max_retries")
    first = _first_delay(task)
    if first is None or not (options.get("autoretries") and backoff):
        return first
    most = options.get("retry_backoff_max", 600)
    last = retries - 1 if isinstance(retries, int) and 0 < retries < 64 else 63
    return float(min(first * 2**last, most))
