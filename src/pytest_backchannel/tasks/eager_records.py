"""What happens to a task in eager mode, as records of the test's log."""

from __future__ import annotations

from ..events import Event
from .expect.messages import cut


class CalledEagerly(Event):
    """A task was called, and runs at once, in the process of the test.

    Attributes:
        task: the task's name.
        task_id: its id.
        call: the call, as one would write it.
    """

    task: str
    task_id: str
    call: str

    def headline(self) -> str:
        """The call."""
        return f"ran {self.call}, eagerly"


class EndedEagerly(Event):
    """A task that ran eagerly has ended.

    Attributes:
        task: the task's name.
        task_id: its id.
        state: Celery's state, such as ``SUCCESS``, ``RETRY`` or ``FAILURE``.
        result: what it returned or raised, in short.
    """

    task: str
    task_id: str
    state: str
    result: str

    def headline(self) -> str:
        """The state, and what came out."""
        return f"{self.state} {cut(self.result)}".rstrip()

    @property
    def broke(self) -> bool:
        """A failure breaks the chain."""
        return self.state == "FAILURE"
