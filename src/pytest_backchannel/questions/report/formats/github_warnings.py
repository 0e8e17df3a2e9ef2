"""The gaps as annotations of GitHub: a warning at the line of the code, in the pull request."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..model import Gap, Report

TARGET = ""
MOST = 10
"""GitHub shows no more of a step."""


def write(report: Report, target: str) -> Sequence[str]:
    """The lines, which GitHub reads from the log of the job."""
    return list(_annotations([gap for gap in report.gaps if not gap.in_baseline][:MOST]))


def _annotations(gaps: Sequence[Gap]) -> Iterator[str]:
    for gap in gaps:
        place = ""
        if gap.where is not None:
            place = f"file={_property(_of_repository(gap.where.file))},line={max(gap.where.line, 1)},"
        text = _data(f"{gap.sentence}. {gap.hurts}".strip())
        yield f"::warning {place}title=backchannel::{text}"


def _of_repository(file: str) -> str:
    """A file relative to the repository, where that is known; pytest may have been started in a folder of it."""
    repository = os.environ.get("GITHUB_WORKSPACE")
    if not repository or not os.path.exists(file):
        return file
    relative = os.path.relpath(os.path.realpath(file), os.path.realpath(repository))
    return file if relative.startswith("..") else relative.replace(os.sep, "/")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
