"""The protocol between :class:`~.queue.TaskQueue`, which a test sees, and what carries and runs its messages.

A driver knows one carrier: ``stepped/stepped_driver.py`` the simulated broker with Celery's worker in this process,
``servers/queue/real_driver.py`` a real broker with a worker process. What is said or asserted for both stands in the
queue, and not in a driver. What a driver can't do it answers by :class:`Unable`; the queue makes the error of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from ..errors import EndlessLoop, MisusedQueue
from ..events import EventLog
from .expect.messages import EnqueuedTask
from .expect.selection import Selection
from .expect.sending import Sending
from .outcomes import Counts, HandlerFailure, Outcome, TaskFailure, TaskRetry
from .stepped.pool.faults import Fault

DEFAULT_LIMIT = 1000
"""How many tasks may lead to one another before it counts as a loop without an end."""

MOST_RETRIES = 100
"""How often one call of a step may retry a task that says it may be retried for ever."""

NOT_BEGUN = "the task queue has not begun. Fix: with TaskQueue(app) as task_queue: …"

Phase = Literal["new", "active", "ended"]
"""Where a driver is in its life: it is a context manager, entered once."""


class Unable(Exception):
    """A driver's answer where it can't do what it is asked to.

    Its text is the rest of a sentence that begins with the call, such as "can't be had with a real broker: …".
    """


@dataclass(kw_only=True, eq=False)
class Step:
    """One call of a stepping method: which tasks it may run, and what came of them.

    What narrows a step further belongs here: each driver gets it as it is.

    Args:
        outcomes: those of the driver, which grow while it runs.
        seen: those of the driver.
        propagate: whether the test wants to have raised what a task raises.
        worker: the name of the one worker that runs; each where None.
        selection: which tasks it may run; every one where None.
        limit: how many tasks may lead to one another, and how often one message may be delivered.

    Raises:
        ValueError: the limit is below 1.
    """

    outcomes: list[Outcome]
    seen: set[str]
    propagate: bool = True
    worker: str | None = None
    selection: Selection | None = None
    limit: int = DEFAULT_LIMIT

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit={self.limit!r}: give a number above 0")
        self._began = self._raised_to = self._counted_to = len(self.outcomes)
        self._retries: Counter[str] = Counter()

    def check_retries(self, app: Any) -> None:
        """Stop a task that is retried for ever: one with ``max_retries=None``, many times within this call.

        Args:
            app: the Celery app, whose tasks say how often they are retried.

        Raises:
            EndlessLoop: one was; never where the test has given a limit of its own.
        """
        __tracebackhide__ = True
        fresh, self._counted_to = self.outcomes[self._counted_to :], len(self.outcomes)
        if self.limit != DEFAULT_LIMIT:
            return
        for outcome in fresh:
            if not isinstance(outcome, TaskRetry):
                continue
            self._retries[outcome.id] += 1
            task = app.tasks.get(outcome.name)
            if self._retries[outcome.id] > MOST_RETRIES and task is not None and task.max_retries is None:
                raise EndlessLoop(
                    f"stopped: {outcome.call} was retried {self._retries[outcome.id]} times in one call, and may be "
                    f"for ever (max_retries=None): {outcome.name} → {outcome.name} → …, last for {outcome.exc!r}\n"
                    "Give the task a max_retries. If it ends later, give run() a limit, such as limit=5000; to see "
                    "one round, use run_one() or advance()."
                )

    def leaves(self, waiting: Iterable[EnqueuedTask]) -> bool:
        """Whether it has nothing left to run, now or later, of what waits; never known of a step that runs all."""
        return self.selection is not None and not any(map(self.selection.fits, waiting))

    def raise_failure(self) -> None:
        """Raise what a task has raised since the last call; for a driver that can stop between two tasks.

        Raises:
            Exception: that of the first failure, with a note that names the task; never where ``propagate`` is off.
        """
        __tracebackhide__ = True
        fresh, self._raised_to = self.outcomes[self._raised_to :], len(self.outcomes)
        # Where nothing is stepped, as where a task is sent, a handler can fail as well.
        earlier = [outcome for outcome in self.outcomes[: self._began] if _unheard(outcome, self.seen)]
        failure = next((outcome for outcome in (*earlier, *fresh) if isinstance(outcome, TaskFailure)), None)
        if failure is None or not self.propagate:
            return
        see(self.seen, [failure] if failure in earlier else fresh)
        enqueued = f", enqueued at {failure.where}" if failure.where else ""
        note = f"in task {failure.call}\n  id {failure.id}{enqueued}"
        for error in failure.handlers:
            note += f"\n  {error.handler} failed: {error.exception!r}"
        if note not in getattr(failure.exception, "__notes__", ()):
            failure.exception.add_note(note)
        raise failure.exception

    def counts(self) -> Counts:
        """What the stepping method returns.

        Raises:
            Exception: as :meth:`raise_failure`.
        """
        __tracebackhide__ = True
        self.raise_failure()
        fresh = self.outcomes[self._began :]
        return Counts(
            Counter(outcome.state for outcome in fresh),
            lambda: see(self.seen, fresh),
        )


def _unheard(outcome: Outcome, seen: set[str]) -> bool:
    return isinstance(outcome, HandlerFailure) and outcome.handlers_key not in seen


def see(seen: set[str], outcomes: Iterable[Outcome]) -> None:
    """Note that the test has seen what came of some tasks, with what their handlers did."""
    for outcome in outcomes:
        seen.add(outcome.id)
        if isinstance(outcome, TaskFailure) and outcome.handlers:
            seen.add(outcome.handlers_key)


@runtime_checkable
class Driver(Protocol):
    """Carries the messages of one task queue, and runs them when it is asked to. A context manager.

    Each method may raise :class:`Unable`, before it has done anything.

    Attributes:
        app: the Celery app.
        log: where events go.
        blocks: what a coroutine that calls a plain stepping method would suffer; the end of a sentence.
        workers: the names of the workers.
        outcomes: what came of each delivery, in order, as far as it is known; always the same list.
        seen: the ids of the tasks of which the test has seen what came: any other failure is a problem at the end.
        captures: lists to which each published message is added; the queue puts them here and takes them away.
        sending: what is seen of a message before its serialiser has it; None where that is not watched.
    """

    app: Any
    log: EventLog
    blocks: str
    workers: list[str]
    outcomes: list[Outcome]
    seen: set[str]
    captures: list[list[EnqueuedTask]]
    sending: Sending | None

    def __enter__(self) -> object: ...

    def __exit__(self, *error: Any) -> None: ...

    # --- what waits, what has run

    def catch_up(self) -> None:
        """Take in what has happened elsewhere since."""

    def waiting(self) -> list[EnqueuedTask]:
        """The tasks that wait, in the order of their publishing."""
        ...

    def count_waiting(self) -> int:
        """How many they are, without a look into each."""
        ...

    def have_run(self) -> list[EnqueuedTask]:
        """The tasks that have been run."""
        ...

    def reserved(self, worker: str) -> list[EnqueuedTask]:
        """The tasks that a worker has received and not begun."""
        ...

    # --- running

    def start(self) -> None:
        """Start the workers that do not run yet: from now on they hear remote control."""

    def run_one(self, step: Step) -> None:
        """Run the next task that is due.

        Raises:
            NothingToRun: none is.
        """

    def run(self, step: Step) -> None:
        """Run until nothing is due."""

    def run_for(self, seconds: float, step: Step) -> None:
        """Run what is due, and what comes due within some seconds, each at its own moment."""

    async def in_thread(self, function: Callable[..., Counts], *args: Any, **kwargs: Any) -> Counts:
        """Call a stepping method in a thread where it may block."""
        ...

    # --- time

    def time(self, *, moves: bool) -> AbstractContextManager[object]:
        """The time in which one step happens.

        Args:
            moves: whether the step moves it.

        Raises:
            MisusedQueue: the driver has not begun, or has ended.
        """
        ...

    def next_moment(self) -> float | None:
        """When something will next be due; None where nothing will."""
        ...

    def move_to(self, moment: float) -> None:
        """Let time come to a moment, without running anything."""

    def beat(self, until: datetime | timedelta | float) -> None:
        """Move time, and enqueue what the beat schedule says."""

    # --- faults

    def arm(self, fault: Fault) -> None:
        """Let something go wrong with the next task that a fault fits."""

    def redeliver(self, name: str | None) -> EnqueuedTask | None:
        """Deliver the last message once more that was done, of the task of this name; None where there is none."""
        ...

    def refuse_publish(self, times: int) -> None:
        """Let the broker refuse the next messages."""

    def slow(self, target: Any, seconds: float) -> ExitStack:
        """Let a task or a function take time, each time that it is called, until what is returned is closed.

        Raises:
            TypeError: it can't be called.
            ValueError: there is none.
        """
        ...

    def fail_write(
        self, nth: int, error: type[Exception] | Exception | None, task: str | None, worker: str | None
    ) -> None:
        """Let a statement of the next body fail that fits and has as many that write.

        Raises:
            BackchannelError: Django is not there, or not configured.
        """


def check_phase(phase: Phase) -> None:
    """Refuse a step outside of the life of a driver.

    Raises:
        MisusedQueue: it has not begun, or has ended.
    """
    if phase == "new":
        raise MisusedQueue(NOT_BEGUN)
    if phase == "ended":
        # The app publishes to its own broker again, and a worker would connect there.
        raise MisusedQueue(
            "the task queue has ended, and its app is as it was before: step it inside of its `with` block, or of "
            "the test."
        )
