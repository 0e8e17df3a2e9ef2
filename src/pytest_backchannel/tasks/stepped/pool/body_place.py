"""Where the body of a task stands."""

from __future__ import annotations

import inspect
from typing import Any

from ....events import Location, definition_of


def body_place(task: Any) -> Location | None:
    """The line on which the function of a task begins, below what decorates it; None where it is not the project's.

    Args:
        task: the task.
    """
    return definition_of(getattr(inspect.unwrap(task.run), "__code__", None))
