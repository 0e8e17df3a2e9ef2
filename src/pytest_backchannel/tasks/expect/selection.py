"""Which of the tasks that wait one step is to run: those of a name, as of a signature, in a queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery.canvas import Signature

from ...errors import BadExpectation
from .matching import Expectation, did_you_mean
from .messages import EnqueuedTask
from .workflows import Step


class Selection:
    """What ``only=`` and ``queue=`` of a stepping method say.

    Args:
        only: a task, a task's name, a signature of one task, or several of them; every task where None.
        queue: a queue's name, or several; every queue where None.
        app: the Celery app.

    Raises:
        BadExpectation: ``only`` is, or holds, none of these, or a name that nobody has registered.
        TypeError: ``queue`` is, or holds, no name.
        ValueError: one of them is empty: nothing could be run.

    Attributes:
        queues: the names of the queues; None where every one will do.
        names: the names of the tasks; None where every one will do.
    """

    def __init__(self, only: Any, queue: Any, *, app: Any) -> None:
        __tracebackhide__ = True
        self.queues = None if queue is None else frozenset(_queue_names(queue))
        self._expectations = None if only is None else [_expectation(one, app) for one in _several("only", only)]
        steps = None if self._expectations is None else [_step(one) for one in self._expectations]
        self.names = None if steps is None else frozenset(step.name for step in steps)
        shown = [] if steps is None else [f"only={_shown([str(step) for step in steps])}"]
        shown += [] if self.queues is None else [f"queue={_shown([repr(name) for name in sorted(self.queues)])}"]
        self._text = ", ".join(shown)

    def __str__(self) -> str:
        return self._text

    def may_fit(self, name: str, queue: str | None) -> bool:
        """Whether a message of this task in this queue can be one of them; it costs no look into the message."""
        return (self.names is None or name in self.names) and (self.queues is None or queue in self.queues)

    def fits(self, task: EnqueuedTask) -> bool:
        """Whether a message is one of them."""
        if not self.may_fit(task.name, task.queue):
            return False
        return self._expectations is None or any(one.find([task]) for one in self._expectations)


def select(only: Any, queue: Any, *, app: Any) -> Selection | None:
    """The selection of a step; None where it is to run whatever is due."""
    __tracebackhide__ = True
    return None if only is None and queue is None else Selection(only, queue, app=app)


def _shown(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _several(argument: str, value: Any) -> list[Any]:
    # A signature is a dict, and so iterable.
    if isinstance(value, list | tuple | set | frozenset) and not isinstance(value, Signature):
        if not value:
            raise ValueError(f"{argument}={value!r} is empty, so that nothing could be run")
        return list(value)
    return [value]


def _queue_names(queue: Any) -> Iterable[str]:
    names = [getattr(one, "name", one) for one in _several("queue", queue)]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"queue={queue!r}: give the name of a queue, or a list of names")
    return names


def _expectation(expected: Any, app: Any) -> Expectation:
    __tracebackhide__ = True
    expectation = Expectation(expected, app=app)
    if not isinstance(expectation.node, Step):
        raise BadExpectation(
            f"only={expected!r} is a workflow, and a step runs single tasks. Give a list of its tasks, or of their "
            "signatures."
        )
    name = expectation.node.name
    if name not in app.tasks:
        raise BadExpectation(f"only={expected!r}: no task is registered as {name!r}.{did_you_mean(name, app)}")
    return expectation


def _step(expectation: Expectation) -> Step:
    node = expectation.node
    assert isinstance(node, Step)  # _expectation() lets no other pass
    return node
