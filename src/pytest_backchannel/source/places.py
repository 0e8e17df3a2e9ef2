"""Where something stands in the code, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """A line of the project.

    Attributes:
        path: the file, relative to the tree that was read, with forward slashes.
        line: the first line, from 1.
        end_line: the last line.
        module: the module, as the code would import it, such as ``billing.views``.
        inside: the qualified name within the module of the function or class around it; empty at module level.
    """

    path: str
    line: int
    end_line: int
    module: str
    inside: str = ""

    @property
    def function(self) -> str:
        """The dotted name of what is around it, such as ``billing.views.email_invoice``; the module's at its level."""
        return f"{self.module}.{self.inside}" if self.inside else self.module

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A file that could not be read as Python, so that nothing is known of what it says.

    Attributes:
        path: the file, relative to the tree that was read.
        line: where Python gave up; 0 where it does not say.
        reason: why, in one line.
    """

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.line else f"{self.path}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the code around a call says of when it runs.

    Attributes:
        in_atomic: within ``with atomic():`` or a function that ``@atomic`` decorates, as far as the same function says.
        in_on_commit: within what is given to ``transaction.on_commit``, or in one of the ``…_on_commit`` methods.
        in_loop: within a ``for`` or ``while`` loop, or a comprehension, of the same function.
        in_try: within a ``try`` block that has ``except`` clauses, of the same function.
        in_lambda: within a lambda.
        in_async: within an ``async def``.
        awaited: the call itself is awaited.
    """

    in_atomic: bool = False
    in_on_commit: bool = False
    in_loop: bool = False
    in_try: bool = False
    in_lambda: bool = False
    in_async: bool = False
    awaited: bool = False
