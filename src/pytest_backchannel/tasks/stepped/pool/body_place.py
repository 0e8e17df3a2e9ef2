"""Where the body of a task stands."""

from __future__ import annotations

import inspect
from typing import Any

from ....events import Location, is_project_file


def line_of(task: Any) -> Location | None:
    """The line on which the function of a task begins, below what decorates it; None where it is not the project's.

    Args:
        task: the task.
    """
    code = getattr(inspect.unwrap(task.run), "__code__", None)
    if code is None or not is_project_file(code.co_filename):
        return None
    return Location(code.co_filename, code.co_firstlineno, code.co_qualname)
