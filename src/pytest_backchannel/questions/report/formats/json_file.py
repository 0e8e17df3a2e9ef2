"""The report as JSON: the schema is documented in ``docs/reference/report-json.md``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    """The report as the text of such a file: a line for each gap, item and test, so that two of them can be compared.

    An indented file is written by Python code, which takes five times as long for a large suite.
    """
    parts = [f"{json.dumps(key)}: {_part(value)}" for key, value in to_data(report).items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _part(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]"


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
