"""The report as JSON: the schema is documented in ``docs/reference/report-json.md``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ....errors import UnreadableReport
from ..as_data import from_data, to_data
from ..model import Report

TARGET = "backchannel-report.json"


def write(report: Report, target: str) -> Sequence[str]:
    """Write the file; its folder is made."""
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(report), encoding="utf-8")
    return [f"The report as JSON: {target}"]


def as_text(report: Report) -> str:
    """The report as the text of such a file."""
    return json.dumps(to_data(report), indent=1, ensure_ascii=False) + "\n"


def read(path: str | Path) -> Report:
    """The report of a file.

    Raises:
        UnreadableReport: it can't be read, or is something else.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableReport(f"{path} can't be read as a report: {error}") from error
    return from_data(data, str(path))
