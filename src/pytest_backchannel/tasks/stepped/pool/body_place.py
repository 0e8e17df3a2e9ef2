"""Where the body of a task stands."""

from __future__ import annotations

import inspect
from typing import Any

from ....events import Location, definition_of


def body_of(task: Any) -> Any:
    """The function of a task, below what decorates it."""
    return inspect.unwrap(task.run)


def body_place(task: Any) -> Location | None:
    """The line on which the function of a task begins, below what decorates it; None where it is not the project's.

    Args:
        task: the task.
    """
    return place_of(body_of(task))


def place_of(body: Any) -> Location | None:
    """The line on which a function begins; None where it is not the project's."""
    return definition_of(getattr(body, "__code__", None))
