"""What happens to a task, as records of the test's log: from the enqueueing to the last acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from ..events import Event
from .expect.messages import EnqueuedTask, call_text, cut


class TaskEvent(Event):
    """One thing that happened to one task.

    Attributes:
        task: the task's name.
        task_id: its id.
        queue: the queue that its message was in; empty where it was in none.
    """

    task: str
    task_id: str
    queue: str = ""


class Enqueued(TaskEvent):
    """A message was published.

    Attributes:
        retries: how many times the task was retried before.
        in_transaction: whether it was published before the commit of an open transaction.
        source: reads the message; only who prints the event pays for it.
    """

    retries: int = 0
    in_transaction: bool = False
    source: Callable[[], EnqueuedTask] = field(repr=False, compare=False)

    @property
    def message(self) -> EnqueuedTask:
        """The message, as it was published."""
        return self.source()

    def headline(self) -> str:
        """The call, the queue and what delays it."""
        message = self.message
        more = f", retry {self.retries}" if self.retries else ""
        if message.countdown is not None:
            more += f", in {message.countdown:g} s"
        if self.in_transaction:
            more += ", before the commit"
        return f"enqueued {call_text(message.name, message.args, message.kwargs)} to {self.queue!r}{more}"


class PublishRefused(TaskEvent, breaks=True):
    """The broker refused a message, because the test asked it to."""

    def headline(self) -> str:
        """Which message."""
        return f"the broker refused {self.task}"


class Delivered(TaskEvent):
    """A worker received a message; it runs now, or is held until it is due.

    Attributes:
        worker: the name of the worker.
        redelivered: whether the broker says that it was delivered before.
    """

    worker: str
    redelivered: bool = False

    def headline(self) -> str:
        """To which worker, and whether it is the first time."""
        again = " again" if self.redelivered else ""
        return f"delivered{again} to {self.worker}"


class BodyStarted(TaskEvent):
    """A task's function was called.

    Attributes:
        call: the call, as one would write it.
    """

    call: str

    def headline(self) -> str:
        """The call."""
        return f"ran {self.call}"


class BodyEnded(TaskEvent):
    """A task's function returned or raised.

    Attributes:
        state: Celery's state, such as ``SUCCESS``, ``RETRY`` or ``FAILURE``.
        result: what it returned or raised, in short.
    """

    state: str
    result: str = ""

    def headline(self) -> str:
        """The state, and what came out."""
        return f"{self.state} {cut(self.result)}".rstrip()

    @property
    def broke(self) -> bool:
        """A failure breaks the chain."""
        return self.state == "FAILURE"


class StateSet(TaskEvent):
    """The worker set a state without running the function: expired, revoked, unknown, lost, over its time limit.

    Attributes:
        state: Celery's state, such as ``REVOKED`` or ``FAILURE``.
        reason: why.
    """

    state: str
    reason: str

    def headline(self) -> str:
        """The state and the reason."""
        return f"{self.state}: {self.reason}"

    @property
    def broke(self) -> bool:
        """A failure breaks the chain; a revocation was asked for."""
        return self.state == "FAILURE"


class Acked(TaskEvent):
    """The worker acknowledged a message: the broker forgets it."""

    def headline(self) -> str:
        """That it was acknowledged."""
        return "acknowledged"


class Rejected(TaskEvent):
    """The worker rejected a message.

    Attributes:
        requeue: whether it went back to its queue.
    """

    requeue: bool

    def headline(self) -> str:
        """That it was rejected, and where it went."""
        return "rejected, back to its queue" if self.requeue else "rejected"


class Redelivered(TaskEvent):
    """A message that a worker had went back to its queue.

    Attributes:
        reason: what made the broker do it.
    """

    reason: str

    def headline(self) -> str:
        """Why it is in its queue again."""
        return f"back in {self.queue!r}: {self.reason}"


class DeadLettered(TaskEvent):
    """RabbitMQ moved a message to the queue's dead-letter exchange.

    Attributes:
        reason: ``rejected``, ``expired`` or ``maxlen``, as RabbitMQ's ``x-death`` header says it.
        targets: the queues that it went to.
    """

    reason: str
    targets: tuple[str, ...] = ()

    def headline(self) -> str:
        """From where to where, and why."""
        to = ", ".join(map(repr, self.targets)) or "no queue"
        return f"dead-lettered from {self.queue!r} to {to} ({self.reason})"

    @property
    def broke(self) -> bool:
        """Where no queue takes it, it is lost."""
        return not self.targets


class MessageLost(TaskEvent, breaks=True):
    """A message is gone, and its task has not run to its end.

    Attributes:
        reason: what lost it.
    """

    reason: str

    def headline(self) -> str:
        """What lost it."""
        return f"lost: {self.reason}"


class ChildLost(TaskEvent, breaks=True):
    """The process that ran a task is gone, and the worker lives on: the test asked for it, or the task has left it.

    Attributes:
        when: ``before_body``, ``during_body`` (the task raised SystemExit) or ``after_body``.
    """

    when: str

    def headline(self) -> str:
        """When it was lost."""
        return f"its process was lost {self.when.replace('_', ' ')}"


class TookTime(Event):
    """A call took some virtual time, because the test asked for it.

    Attributes:
        target: the task or the function.
        seconds: how long, at most: a time limit may have cut it short.
    """

    target: str
    seconds: float

    def headline(self) -> str:
        """What, and how long."""
        return f"{self.target} takes {self.seconds:g} s"


class WriteFailed(Event, breaks=True):
    """A statement that writes to the database failed, because the test asked for it.

    Attributes:
        number: which one it was, of those of its body.
        statement: its beginning.
    """

    number: int
    statement: str

    def headline(self) -> str:
        """Which statement."""
        return f"write {self.number} of the body failed: {self.statement}"


class WorkerKilled(Event):
    """A worker process was killed, because the test asked for it.

    Attributes:
        worker: the name of the worker.
        when: ``before_body`` or ``after_body``.
    """

    worker: str
    when: str

    def headline(self) -> str:
        """Which worker, and when."""
        return f"{self.worker} was killed {self.when.replace('_', ' ')}"


class WorkerExited(Event):
    """A worker process has ended of itself, and a new one took its place.

    Attributes:
        worker: the name of the worker.
        reason: what it could not go on from.
    """

    worker: str
    reason: str

    def headline(self) -> str:
        """Which worker, and why."""
        return f"{self.worker} ended ({self.reason}), and was started again"
