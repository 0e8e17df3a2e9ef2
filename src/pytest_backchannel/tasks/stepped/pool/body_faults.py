"""What a test lets go wrong inside of a body, or lets take its time there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any, Protocol

from billiard.exceptions import SoftTimeLimitExceeded

from ....errors import MisusedQueue
from ...expect.messages import cut


class BodyFault(Protocol):
    """Something that is to happen within bodies."""

    def fits(self, task: str, worker: str) -> bool:
        """Whether it is for this task and this worker."""
        ...

    def around(self) -> AbstractContextManager[None]:
        """What a body runs in."""
        ...


@dataclass(frozen=True, eq=False)
class SlowBody:
    """Each body of one task takes some time, before its first line.

    Args:
        task: its name.
        takes: lets the time pass.
        run: the function of the task.
    """

    task: str
    takes: Callable[[], None]
    run: Any

    def fits(self, task: str, worker: str) -> bool:
        """Whether it is this task."""
        return task == self.task

    @contextmanager
    def around(self) -> Generator[None]:
        """Let the time pass.

        Raises:
            MisusedQueue: its soft time limit is met there, and the function has something to do about it.
        """
        try:
            self.takes()
        except SoftTimeLimitExceeded:
            if _names(getattr(self.run, "__code__", None), SoftTimeLimitExceeded.__name__):
                raise MisusedQueue(
                    f"{self.task} handles its soft time limit, and slow({self.task}, …) lets the time pass before its "
                    "first line, where it can't. Fix: slow() what the task calls and waits for, such as "
                    "task_queue.slow('billing.mail.deliver', 600)."
                ) from None
            raise
        yield


@dataclass(frozen=True, eq=False)
class WriteFault:
    """The nth write of the next body that has as many fails.

    Args:
        nth: which one, counted from 1.
        error: what is raised: a class of exceptions, or one.
        task: the name of the task that it is for; None fits each.
        worker: the name of the worker that it is for; None fits each.
        failed: told of it, with the number and the statement, before it is raised.
    """

    nth: int
    error: type[Exception] | Exception
    task: str | None
    worker: str | None
    failed: Callable[[WriteFault, int, str], None]

    def fits(self, task: str, worker: str) -> bool:
        """Whether it is for this task and this worker."""
        return self.task in (None, task) and self.worker in (None, worker)

    def around(self) -> AbstractContextManager[None]:
        """Watch what the body writes."""
        from ....database.failing_write import failing_write

        return failing_write(self.nth, self._make)

    def _make(self, number: int, sql: str) -> BaseException:
        statement = cut(" ".join(sql.split()), 60)
        self.failed(self, number, statement)
        if isinstance(self.error, type):
            return self.error(f"fail_write(nth={number}): the test lets this statement fail: {statement}")
        return self.error


def _names(code: CodeType | None, name: str) -> bool:
    """Whether a function mentions a name, or one that is defined in it does."""
    if code is None:
        return False
    return name in code.co_names or any(_names(part, name) for part in code.co_consts if isinstance(part, CodeType))
