"""What goes unseen by the end of a test, for tasks; see docs/reference/slugs.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from celery import states

from ..events import EventLog
from . import records
from .expect.messages import EnqueuedTask
from .outcomes import HandlerError, HandlerFailure, Outcome, TaskFailure
from .stepped.broker import TIME_OVER
from .stepped.engine import Engine
from .stepped.explain import consumed
from .stepped.recorder import MessageHistory


def unserved_queues(engine: Engine, log: EventLog) -> None:
    """A message for a queue that no worker consumes, where the project says what its workers consume."""
    for message in engine.broker.ready():
        if message.is_task and message.queue in engine.broker.published_to and not engine.serves(message.queue):
            log.problem(
                "unserved_queue",
                f"{message.history.name} waits in queue {message.queue!r}, which no worker consumes "
                f"({consumed(engine)}).\nFix: route it to one of these queues, or let a worker consume it: "
                "CELERY_TASK_QUEUES, the ini option backchannel_worker_queues, or the marker's queues= or workers=.",
                where=message.history.where,
                cause=message.history.cause,
            )


def failed_tasks(
    outcomes: Sequence[Outcome],
    seen: set[str],
    log: EventLog,
    followers_of: Callable[[str], set[str]] = lambda task_id: set(),
) -> None:
    """A failed task that nobody looked at, and the handlers that failed beside it.

    Args:
        outcomes: what came of the tasks.
        seen: what the test has looked at.
        log: takes the problems.
        followers_of: the ids of what comes after a task in its workflow: whoever looks at the result of a chain or a
            chord has seen the failure of its part.
    """
    failures = [outcome for outcome in outcomes if isinstance(outcome, TaskFailure)]
    for outcome in failures:
        if outcome.id not in seen and not isinstance(outcome, HandlerFailure) and not followers_of(outcome.id) & seen:
            log.problem(
                "failed_task",
                f"{outcome.call} failed with {outcome.exception!r}, and the test has not looked: it ran with "
                "propagate=False, or inside result.get() of another task.\n"
                "Look at task_queue.failures, at what run() returns, or at the task's result.",
                where=outcome.where,
            )
        if outcome.handlers_key not in seen:
            for error in outcome.handlers:
                log.problem("handler_failed", _handler_text(outcome, error), where=outcome.where)
    for outcome in failures:
        seen.update((outcome.id, outcome.handlers_key))


def late_acknowledgements(engine: Engine, log: EventLog) -> None:
    """A task that acknowledges late, and for longer than Redis waits for it: once for each task."""
    if engine.broker.profile != "redis":
        return
    timeout = engine.broker.visibility_timeout
    told: set[str] = set()
    for history in engine.recorder.history:
        task = engine.installation.app.tasks.get(history.name)
        if history.name in told or task is None or not task.acks_late:
            continue
        hard, soft = history.time_limits or (None, None)
        limit = hard or task.time_limit or soft or task.soft_time_limit
        ran = engine.execution.longest.get(history.name, 0.0)
        if ran > timeout:
            how = f"ran for {ran:g} s"
        elif limit and limit > timeout:
            how = f"may run for {limit:g} s, by its time limit"
        else:
            continue
        told.add(history.name)
        log.problem(
            "late_ack_beyond_visibility",
            f"{history.name} has acks_late and {how}, longer than the visibility timeout of {timeout:g} s: Redis gives "
            "its message to a worker again while it runs, and it runs more than once.\nFix: a visibility_timeout in "
            "CELERY_BROKER_TRANSPORT_OPTIONS that is longer than any such task, or a time limit below it.",
            where=history.where,
            cause=history.cause,
        )


def late_etas(engine: Engine, log: EventLog) -> None:
    """An eta further away than Redis waits for the worker that holds the message: once for each task and line."""
    if engine.broker.profile != "redis":
        return
    timeout = engine.broker.visibility_timeout
    told: set[tuple[str, Any]] = set()
    for history in engine.recorder.history:
        eta = _moment(history.eta)
        # Celery writes the eta a little before the message is published: a second more or less is no verdict.
        if eta is None or eta - history.published_at <= timeout + 1 or (history.name, history.where) in told:
            continue
        told.add((history.name, history.where))
        what = f"retry {history.retries} of {history.name}" if history.retries else history.name
        log.problem(
            "eta_beyond_visibility",
            f"{what} is to run in {eta - history.published_at:.0f} s. A worker takes its message at once and holds it "
            f"until then, and after {timeout:g} s (the visibility timeout) Redis gives it to a worker again: it runs "
            "more than once.\nFix: a longer visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS, or a moment that is "
            "kept in the database, and a beat entry that looks for what is due.",
            where=history.where,
            cause=history.cause,
        )


def expired_tasks(engine: Engine, seen: set[str], log: EventLog) -> None:
    """A task whose time was over before a worker ran it, and at which the test has not looked.

    Args:
        engine: what has run.
        seen: what the test has looked at.
        log: takes the problems.
    """
    if not any(history.expires for history in engine.recorder.history):
        return  # mostly: the events need not be looked through
    for task_id in dict.fromkeys([*_expired(log), *_sure_to_expire(engine)]):
        history = engine.recorder.latest.get(task_id)
        expires = _moment(history.expires) if history is not None else None
        # Without one of its own, the time of its queue was over.
        if history is None or expires is None or task_id in seen:
            continue
        log.problem(
            "expired_task",
            f"{history.name} {_why_expired(history, expires)}. A worker throws such a message away, and no on_failure "
            "or errback runs.\nFix: a longer expires, or none; where it is intended, look at the task's state.",
            where=history.where,
            cause=history.cause,
        )


def _expired(log: EventLog) -> Iterator[str]:
    """The ids of the tasks that a worker or the broker has found too old."""
    for event in log.events:
        by_worker = isinstance(event, records.StateSet) and (event.state, event.reason) == ("REVOKED", "expired")
        by_broker = isinstance(event, records.MessageLost) and event.reason == TIME_OVER
        if isinstance(event, records.TaskEvent) and (by_worker or by_broker):
            yield event.task_id


def _sure_to_expire(engine: Engine) -> Iterator[str]:
    """The ids of the tasks that still wait, and will be due when their time is over."""
    for message in engine.waiting():
        eta, expires = _moment(message.history.eta), _moment(message.history.expires)
        if eta is not None and expires is not None and eta >= expires:
            yield message.history.id


def _why_expired(history: MessageHistory, expires: float) -> str:
    eta = _moment(history.eta)
    if eta is None or eta < expires:
        return f"has expired: no worker began it within {max(0.0, expires - history.published_at):.0f} s"
    late = f"{eta - expires:.0f} s after its expiry" if eta - expires >= 1 else "when it has expired"
    if history.retries:
        return f"expires unrun: its retry {history.retries} is due {late}, which counts from the first message"
    return f"expires unrun: it is due {late}"


def _moment(text: Any) -> float | None:
    """A moment in the headers of a message, in seconds since the epoch; UTC where it does not say, as in a worker."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def followers(task: EnqueuedTask) -> set[str]:
    """The ids of the steps that come after a task in its chain, and of the callbacks of its chords."""
    found: set[str] = set()
    open_ends: list[Any] = [task.chain, task.chord]
    while open_ends:
        part = open_ends.pop()
        if isinstance(part, Mapping):
            if isinstance(part.get("task_id"), str):
                found.add(part["task_id"])
            open_ends += part.values()
        elif isinstance(part, list | tuple):
            open_ends += part
    return found


def _handler_text(outcome: TaskFailure, error: HandlerError) -> str:
    first = "" if isinstance(outcome, HandlerFailure) else f"{outcome.call} failed with {outcome.exception!r}; then "
    return (
        f"{first}{error.handler} of {outcome.name} failed with {error.exception!r}. A worker only logs it: what it was "
        "to do is not done, and nobody hears of it.\nFix the handler; where the failure is intended, look at "
        "task_queue.failures."
    )


def pending_chords(engine: Engine, app: Any, log: EventLog) -> None:
    """A chord of which every part is done or gone, and whose callback has neither run nor failed."""
    waiting = engine.waiting()
    roots = {message.history.root_id for message in waiting}
    groups = {message.history.group for message in waiting}
    # A part that is a chain carries its chord in the last of the steps that are still to come.
    seen = {callback for message in waiting for callback in _chords_ahead(engine.recorder.task(message))}
    for message in engine.done:
        history = message.history
        group = history.group
        if not group or group in groups or history.root_id in roots:
            continue
        chord = engine.recorder.task(message).chord
        callback = ((chord or {}).get("options") or {}).get("task_id")
        if chord is None or callback is None or callback in seen or callback in engine.recorder.latest:
            continue
        seen.add(callback)
        if _is_ready(app, callback):
            continue
        log.problem(
            "pending_chord",
            f"the callback {chord['task']} of a chord can never run: not every part of its header has returned, and "
            "none waits any more. A part that raises Ignore, is rejected or lost never returns.",
            where=history.where,
            cause=history.cause,
        )


def _chords_ahead(task: EnqueuedTask) -> list[str | None]:
    chords = [step["options"].get("chord") for step in task.chain if step.get("options")]
    return [((chord or {}).get("options") or {}).get("task_id") for chord in chords]


def _is_ready(app: Any, task_id: str) -> bool:
    if not hasattr(app.backend, "_get_task_meta_for"):
        return False
    return app.backend._get_task_meta_for(task_id)["status"] in states.READY_STATES
