"""What a child process was not allowed to reach: kept, since code that was refused may have caught the error.

An application's ``ready()`` may read rows, or write some. What it would have done with an answer can't be known, so
that a single refusal makes the inventory incomplete.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from django.db.utils import OperationalError

# In the order of their happening; a process has one inventory to make.
_refused: list[str] = []

# Frames of these packages say nothing of who has asked.
_NOT_THE_PROJECT = ("pytest_backchannel", "django", "celery", "kombu", "channels", "asgiref", "socket", "importlib")


class Refused(OperationalError, ConnectionRefusedError):
    """Nothing real may be reached.

    It is what code catches that expects its server to be down: Django's error of a database, and Python's of a socket.
    """


def refuse(what: str) -> Refused:
    """Keep that something was refused, and make the error to raise.

    Args:
        what: what the code has tried, such as ``a query of the database 'default'``.
    """
    text = f"{what}{_asked_by()}"
    if text not in _refused:
        _refused.append(text)
    return Refused(f"{what}: nothing real may be reached while the inventory is made")


def refused() -> list[str]:
    """What was refused so far, each once, with the line that asked."""
    return list(_refused)


def _asked_by() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _NOT_THE_PROJECT and package not in sys.stdlib_module_names:
            return f" [{frame.f_code.co_filename}:{frame.f_lineno}]"
        frame = frame.f_back
    return ""


def refusing(what: str) -> Any:
    """A method that is refused whatever it is given."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise refuse(what)

    return method


def refusing_async(what: str) -> Any:
    """The same, for a coroutine function."""

    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise refuse(what)

    return method
