"""The tasks that wait, as a sequence, and what a test asserts of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from ...errors import BackchannelFailure
from ..beat.upcoming import due
from . import matching
from .messages import EnqueuedTask
from .mocks import mocked

if TYPE_CHECKING:
    from ..driver import Driver


class WaitingTasks(Sequence[EnqueuedTask]):
    """A sequence of the messages that now wait, in the order of their publishing."""

    _driver: Driver

    def __len__(self) -> int:
        return self._driver.count_waiting()

    @overload
    def __getitem__(self, index: int) -> EnqueuedTask: ...

    @overload
    def __getitem__(self, index: slice) -> list[EnqueuedTask]: ...

    def __getitem__(self, index: int | slice) -> EnqueuedTask | list[EnqueuedTask]:
        waiting = self._driver.waiting()
        try:
            return waiting[index]
        except IndexError:
            raise IndexError(f"{len(waiting)} tasks wait, so there is none at {index}") from None

    def __iter__(self) -> Iterator[EnqueuedTask]:
        return iter(self._driver.waiting())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._driver.waiting()!r}>"

    def assert_enqueued(self, expected: Any, *, count: int | None = None) -> EnqueuedTask:
        """Check that a task or a workflow waits.

        Args:
            expected: a Signature, which matches on its arguments by ``==`` and on the options that it sets; a chain,
                a group or a chord, which matches the whole workflow; a task or a task's name, which matches whatever
                the arguments are.
            count: how many times, exactly; at least once by default.

        Returns:
            The first message that matches.

        Raises:
            BackchannelFailure: nothing matches; the message lists the nearest, with what differs.

        Example:
            >>> task_queue.assert_enqueued(send_invoice_email.s(7).set(queue="mail"))
        """
        __tracebackhide__ = True
        driver = self._driver
        waiting, also = driver.waiting(), [matching.Elsewhere("has run already", driver.have_run)]
        hints = self._hints(expected, waiting)
        return matching.assert_enqueued(waiting, expected, app=driver.app, count=count, also=also, hints=hints)

    def _hints(self, expected: Any, waiting: Sequence[EnqueuedTask]) -> Iterator[str]:
        """Why it may not be there, for the end of a failure."""
        by_name = isinstance(expected, str)
        name = str(expected if by_name else getattr(expected, "name", None) or getattr(expected, "task", ""))
        sending, app = self._driver.sending, self._driver.app
        if hint := mocked(app.tasks.get(name)):
            yield hint
        if app.conf.task_always_eager:
            yield (
                "task_always_eager is on, so that tasks run where they are called and none waits: celery_eager was set "
                "up after task_queue, or the test has set it. The two conflict: take one of them."
            )
        yield from due(app, name)
        if sending is not None:
            changed = (sending.changed(message) for message in waiting if message.name == name)
            yield from dict.fromkeys(hint for hint in changed if hint)
            yield from dict.fromkeys(one.told(app) for one in sending.elsewhere if one.name == name)
            yield from sending.unapplied.told(expected)

    def _check_elsewhere(self, names: Collection[str] | None = None) -> None:
        """An assertion of absence holds for nothing where another app got the task.

        Args:
            names: of the tasks that are asked about; None for all.
        """
        __tracebackhide__ = True
        sending = self._driver.sending
        for one in sending.elsewhere if sending is not None else ():
            if names is None or one.name in names:
                raise BackchannelFailure(f"Nothing waits here, but {one.told(self._driver.app)}")

    def assert_not_enqueued(self, expected: Any) -> None:
        """Check that no task, or workflow, of the kind waits.

        Args:
            expected: as for :meth:`assert_enqueued`.

        Raises:
            BackchannelFailure: one does; the message lists where it was enqueued. Or another Celery app got one.
        """
        __tracebackhide__ = True
        matching.assert_not_enqueued(self._driver.waiting(), expected, app=self._driver.app)
        self._check_elsewhere(matching.names_of(expected))

    def assert_empty(self) -> None:
        """Check that no task waits.

        Raises:
            BackchannelFailure: some do; the message lists them, and where they were enqueued. Or another Celery app
                got one.
        """
        __tracebackhide__ = True
        matching.assert_empty(self._driver.waiting())
        self._check_elsewhere()

    def enqueued(self, task: Any = None) -> list[EnqueuedTask]:
        """The tasks that wait.

        Args:
            task: as for :meth:`assert_enqueued`; all by default.
        """
        waiting = self._driver.waiting()
        return list(waiting) if task is None else matching.matching(task, waiting, app=self._driver.app)
