"""Who hears of what is done inside a transaction, beside the log of the test."""

from __future__ import annotations

from typing import Any, Protocol

from ...active import Slot
from ...events import Location


class Hears(Protocol):
    """Called for each line that enqueues or sends inside a block, once in a test."""

    def __call__(self, slug: str, what: str, where: Location | None, task: Any = None) -> None:
        """Hear of it.

        Args:
            slug: what it is told as.
            what: the name of the task or workflow, or the call that sends.
            where: the line.
            task: the task, where it is one.
        """


hears: Slot[Hears] = Slot("who hears of sends inside a transaction", of_the_run=True)
