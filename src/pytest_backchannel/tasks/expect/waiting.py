"""The tasks that wait, as a sequence, and what a test asserts of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from . import matching
from .messages import EnqueuedTask

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
        return matching.assert_enqueued(waiting, expected, app=driver.app, count=count, also=also)

    def assert_not_enqueued(self, expected: Any) -> None:
        """Check that no task, or workflow, of the kind waits.

        Args:
            expected: as for :meth:`assert_enqueued`.

        Raises:
            BackchannelFailure: one does; the message lists where it was enqueued.
        """
        __tracebackhide__ = True
        matching.assert_not_enqueued(self._driver.waiting(), expected, app=self._driver.app)

    def assert_empty(self) -> None:
        """Check that no task waits.

        Raises:
            BackchannelFailure: some do; the message lists them, and where they were enqueued.
        """
        __tracebackhide__ = True
        matching.assert_empty(self._driver.waiting())

    def enqueued(self, task: Any = None) -> list[EnqueuedTask]:
        """The tasks that wait.

        Args:
            task: as for :meth:`assert_enqueued`; all by default.
        """
        waiting = self._driver.waiting()
        return list(waiting) if task is None else matching.matching(task, waiting, app=self._driver.app)
