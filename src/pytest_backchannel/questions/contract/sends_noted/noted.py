"""What a test has sent, as plain values: kinds of messages, and no value of any of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ....active import Slot
from ..contents import LayerSend, TaskSend

NOT_KNOWN = "?"
"""The queue of a message that goes to an exchange of its own."""


@dataclass
class Noted:
    """What was sent since it began.

    Attributes:
        is_test: whether a file holds tests: what a test sends itself says nothing of the project.
        tasks: the messages for tasks.
        messages: those on a channel layer.
    """

    is_test: Callable[[str], bool]
    tasks: set[TaskSend] = field(default_factory=set[TaskSend])
    messages: set[LayerSend] = field(default_factory=set[LayerSend])

    def as_data(self) -> list[list[Any]]:
        """As values that pytest-xdist carries."""
        tasks = [
            ["task", one.task, one.args, list(one.kwargs), one.queue, one.serializer, list(one.headers)]
            for one in sorted(self.tasks)
        ]
        return tasks + [["message", one.type, list(one.keys)] for one in sorted(self.messages)]


_noted: Slot[Noted] = Slot("what a test sends, for the contract")


def begin(is_test: Callable[[str], bool]) -> None:
    """A test begins.

    Args:
        is_test: whether a file holds tests.
    """
    _noted.value = Noted(is_test)


def noting() -> Noted | None:
    """Where to note what is sent now; None between two tests."""
    return _noted.value


def take() -> Noted | None:
    """A test has ended: what it has sent."""
    found, _noted.value = _noted.value, None
    return found


@contextmanager
def noted(is_test: Callable[[str], bool] = lambda path: False) -> Generator[Noted]:
    """Within the block, what is sent is noted."""
    _noted.value = found = Noted(is_test)
    try:
        yield found
    finally:
        take()


def from_data(data: Iterable[Sequence[Any]]) -> tuple[list[TaskSend], list[LayerSend]]:
    """What :meth:`Noted.as_data` has given.

    Args:
        data: of any number of tests.
    """
    tasks: list[TaskSend] = []
    messages: list[LayerSend] = []
    for kind, *values in data:
        if kind == "task":
            name, args, kwargs, queue, serializer, headers = values
            tasks.append(
                TaskSend(
                    task=name,
                    args=args,
                    kwargs=tuple(kwargs),
                    queue=queue,
                    serializer=serializer,
                    headers=tuple(headers),
                    run=True,
                )
            )
        else:
            messages.append(LayerSend(type=values[0], keys=tuple(values[1]), run=True))
    return tasks, messages
