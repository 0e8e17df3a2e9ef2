"""What the audit of a run has found, as a page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class AuditFound:
    """All of it.

    Attributes:
        data: what stands in the JSON file of the audit.
        words: the verdict of each task, without what the baseline knows.
        figures: how much was audited, in one line; empty where no task was to be.
        root: the folder of the project's code.
    """

    data: Mapping[str, Any]
    words: Mapping[str, str] = field(default_factory=dict)
    figures: str = ""
    root: str = ""
