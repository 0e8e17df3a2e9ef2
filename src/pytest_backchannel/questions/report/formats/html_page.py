"""The report as one HTML page, which needs no network and no server: it can be kept as an artifact of a CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..model import Report
from ..page.rendering import render, render_audit

if TYPE_CHECKING:
    from ...audit.output.audit_found import AuditFound

TARGET = "backchannel-report"
FILE = "index.html"


def write(report: Report, target: str) -> Sequence[str]:
    """Write the page into the folder, which is made; the whole path is told: a run may be another's, as in a demo."""
    path = _written(Path(target, FILE), render(report, Path.cwd()))
    return [f"The report as a page: {path}"]


def write_audit_page(found: AuditFound, target: str) -> str:
    """Write the page of an audit alone; the folder of the file is made.

    Args:
        found: by the audit.
        target: the file.

    Returns:
        A line for the terminal.

    Raises:
        OSError: it can't be written.
    """
    return f"The audit as a page: {_written(Path(target), render_audit(found, Path.cwd()))}"


def _written(path: Path, text: str) -> Path:
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")  # a test's data may be no UTF-8
    return path
