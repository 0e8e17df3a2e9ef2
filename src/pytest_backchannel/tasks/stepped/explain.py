"""Says why nothing is due, and why a result will not come."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from ..expect.messages import EnqueuedTask
from ..expect.selection import Selection
from ..outcomes import Outcome
from .broker import DELAY_QUEUE, StoredMessage
from .engine import Engine
from .recorder import Recorder


def nothing_due(engine: Engine, recorder: Recorder, only: str | None = None, selection: Selection | None = None) -> str:
    """What to say to a test that asks to run more than there is."""
    waiting = engine.waiting()
    who = "nothing is due" if only is None else f"worker {only!r} has nothing to run"
    if selection is not None:
        who += f" that fits {selection}"
    if not waiting:
        return f"{who}: no task waits."
    lines = [f"{who}. What waits:"]
    for message in waiting:
        task = recorder.task(message)
        left = selection is not None and not selection.fits(task)
        lines.append(f"  {task!r}: {'it does not fit' if left else why_waits(message, engine, recorder)}")
    return "\n".join(lines)


def why_waits(message: StoredMessage, engine: Engine, recorder: Recorder) -> str:
    """Why a message that waits is not run now."""
    if message.delivered_at is None and not DELAY_QUEUE.search(message.queue):
        if not engine.serves(message.queue):
            return f"no worker consumes queue {message.queue!r} ({consumed(engine)})"
        return "every worker that consumes its queue has as many messages as its prefetch count allows"
    until = engine.held_until(message)
    if until is not None:
        # Rounded up, so that moving that far gets there also where time is real.
        seconds = math.ceil(until - time.time() - 0.001)
        return f"its eta is in {seconds} s; task_queue.advance({seconds}) gets there"
    if id(message) in recorder.held:
        holder = getattr(message.holder, "name", "a worker")
        limit = engine.installation.app.tasks.get(message.history.name)
        if limit is not None and limit.rate_limit:
            return f"{holder!r} holds it for its rate limit of {limit.rate_limit}; task_queue.advance() gets there"
        return f"{holder!r} holds it"
    moment = engine.broker.next_moment()
    after = "" if moment is None else f", in {moment - time.time():.4g} s"
    return (
        "the worker that had it was killed; Redis gives it to another one after the visibility timeout of "
        f"{engine.broker.visibility_timeout:g} s, when a worker next looks{after}"
    )


def consumed(engine: Engine) -> str:
    """Which worker consumes what."""
    parts = [
        f"{name!r} consumes {', '.join(map(repr, worker.queues)) if worker.queues else 'every queue'}"
        for name, worker in engine.workers.items()
    ]
    return "; ".join(parts)


def why_no_result(task_id: str, engine: Engine, recorder: Recorder, outcomes: Sequence[Outcome]) -> str:
    """Why the result of a task will not come by itself."""
    start = f"the result of task {task_id} will not come: "
    for message in engine.waiting():
        if message.history.id == task_id:
            task = recorder.task(message)
            return (
                f"{start}{task!r} waits: {why_waits(message, engine, recorder)}. Without a timeout, get() would hang."
            )
    ends = [outcome for outcome in outcomes if outcome.id == task_id]
    if ends:
        return start + _after(ends[-1])
    history = recorder.latest.get(task_id)
    if history is not None:
        return (
            f"{start}{history.name} was enqueued at {history.where}, and its message is gone: the worker lost it, or "
            "the broker dropped it. task_queue.events tells when."
        )
    waiting = [recorder.task(message) for message in engine.waiting()]
    later = [task for task in waiting if _leads_to(task, task_id)]
    if later:
        first = next(m for m in engine.waiting() if m.history.id == later[0].id)
        return f"{start}it comes after {later[0]!r}, which waits: {why_waits(first, engine, recorder)}"
    return (
        f"{start}no task with this id was enqueued. A step before it in its chain may have failed, or a part of its "
        "chord's header; task_queue.failures and task_queue.events tell."
    )


def _after(outcome: Outcome) -> str:
    if outcome.state == "SUCCESS":
        return (
            f"{outcome.call} has run, and stored no result: it has ignore_result (or the setting task_ignore_result "
            "is on). Look at task_queue.succeeded instead."
        )
    if outcome.state == "IGNORED":
        return f"{outcome.call} raised Ignore, which stores no state."
    if outcome.state == "REJECTED":
        return f"the message of {outcome.name} was rejected, which stores no state."
    return f"{outcome.call} ended as {outcome.state}, and no state was stored."


def _leads_to(task: EnqueuedTask, task_id: str) -> bool:
    followers = [*task.chain, *task.callbacks, *([task.chord] if task.chord else [])]
    return any((follower.get("options") or {}).get("task_id") == task_id for follower in followers)
