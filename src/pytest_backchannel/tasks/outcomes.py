"""What came of tasks: the counts that the stepping methods return, retries, failures and successes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

from ..events import Location
from .expect.messages import call_text


@dataclass(frozen=True, kw_only=True)
class HandlerError:
    """The failure of one handler.

    Attributes:
        handler: which handler, in words: ``on_failure``, ``the errback billing.tasks.tell`` …
        exception: what it raised.
        task: the name of the task that it was called for, where it is known.
        task_id: the id of that task, where it is known.
    """

    handler: str
    exception: BaseException
    task: str | None = None
    task_id: str | None = None

    def note_once(self, known: list[HandlerError]) -> None:
        """Append it, unless the same is there already: Celery calls some handlers again when they fail."""
        if (self.handler, repr(self.exception)) not in {(one.handler, repr(one.exception)) for one in known}:
            known.append(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one delivery.

    Attributes:
        name: the task's name.
        id: its id.
        state: Celery's state, such as ``SUCCESS``.
        args: the positional arguments.
        kwargs: the keyword arguments.
        retries: how many times it was retried before.
        where: the line that enqueued it.
    """

    name: str
    id: str
    state: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 0
    where: Location | None = None

    @property
    def call(self) -> str:
        """The call, as one would write it."""
        return call_text(self.name, self.args, self.kwargs)

    @property
    def handlers_key(self) -> str:
        """What stands for its handlers where it is noted what a test has seen: a look at its state shows none."""
        return f"handlers of {self.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSuccess(Outcome):
    """A task that returned.

    Attributes:
        result: what it returned, before any serialisation.
    """

    result: Any = None


@dataclass(frozen=True, kw_only=True)
class TaskFailure(Outcome):
    """A task that failed.

    Attributes:
        exception: what it raised, or what the worker says of it (``WorkerLostError``, ``TimeLimitExceeded``).
        handlers: the failures of its handlers, errbacks and signal receivers, which came of it or beside it.
    """

    exception: BaseException
    handlers: tuple[HandlerError, ...] = ()

    @property
    def traceback(self) -> TracebackType | None:
        """Where it was raised."""
        return self.exception.__traceback__


@dataclass(frozen=True, kw_only=True)
class HandlerFailure(TaskFailure):
    """A handler of a task failed, though the task itself has not: Celery only logs it.

    ``exception`` is what the handler raised; ``handlers`` says which it was.
    """

    @classmethod
    def of(cls, error: HandlerError, **fields: Any) -> HandlerFailure:
        """That of one handler; ``fields`` are those of the task, where it is known."""
        return cls(
            name=error.task or "?",
            id=error.task_id or "",
            state="FAILURE",
            exception=error.exception,
            handlers=(error,),
            **fields,
        )


@dataclass(frozen=True, kw_only=True)
class TaskRetry(Outcome):
    """A task that asked to be run again.

    Attributes:
        countdown: after how many seconds.
        eta: at which moment, where the task gave one instead of a countdown.
        exc: the exception that it gave as its reason; None where it gave none.
    """

    countdown: float | None = None
    eta: datetime | None = None
    exc: BaseException | None = None


class Counts(dict[str, int]):
    """How many tasks ended in each of Celery's states, such as ``{"SUCCESS": 2, "RETRY": 1}``.

    A state that did not occur counts 0, and is no key. Whoever reads the counts has looked at the failures in them.
    """

    def __init__(self, counts: Mapping[str, int], on_look: Callable[[], None] | None = None) -> None:
        super().__init__(counts)
        self._look = on_look or (lambda: None)

    def __missing__(self, state: str) -> int:
        return 0

    def __getitem__(self, state: str) -> int:
        self._look()
        return super().__getitem__(state)

    def get(self, state: str, default: Any = 0) -> Any:
        """The count of one state."""
        self._look()
        return super().get(state, default)

    def __contains__(self, state: object) -> bool:
        self._look()
        return super().__contains__(state)

    def __iter__(self) -> Iterator[str]:
        self._look()
        return super().__iter__()

    def __eq__(self, other: object) -> bool:
        self._look()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def items(self) -> Any:
        """Each state with its count."""
        self._look()
        return super().items()

    __hash__ = None


def cycle_of(names: list[str]) -> list[str]:
    """The shortest sequence of names that the end of ``names`` repeats; the last name where none does.

    Example:
        >>> cycle_of(["start", "ping", "pong", "ping", "pong"])
        ['ping', 'pong']
    """
    for length in range(1, len(names) // 2 + 1):
        last = names[-length:]
        if names[-2 * length : -length] == last:
            return last
    return names[-1:]
