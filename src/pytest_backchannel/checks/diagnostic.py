"""What a rule says of one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, order=True)
class Diagnostic:
    """One of them.

    Attributes:
        path: the file, relative to the folder that was checked, with forward slashes.
        line: the first line, from 1.
        column: from 1.
        end_line: the last line on which a ``# noqa`` is looked for.
        code: the rule's, such as ``BC201``.
        message: what is wrong at this place, in one line.
    """

    path: str
    line: int
    column: int
    end_line: int
    code: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)
