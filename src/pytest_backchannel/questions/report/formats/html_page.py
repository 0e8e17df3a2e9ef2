"""The report as one HTML page, which needs no network and no server: it can be kept as an artifact of a CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..model import Report
from ..page.rendering import render

TARGET = "backchannel-report"
FILE = "index.html"


def write(report: Report, target: str) -> Sequence[str]:
    """Write the page into the folder, which is made; the whole path is told: a run may be another's, as in a demo."""
    path = Path(target, FILE).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report, Path.cwd()), encoding="utf-8")
    return [f"The report as a page: {path}"]
