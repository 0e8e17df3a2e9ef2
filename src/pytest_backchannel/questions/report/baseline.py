"""The gaps that a project knows of, and does not want to be told again: a file of keys, a line each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...errors import UnreadableReport
from .model import Report

HEAD = """\
# What no test has reached when this was written, a key a line: pytest --backchannel-baseline tells what is new.
# Written anew by: backchannel report baseline REPORT.json
"""


def read_baseline(path: str | Path) -> frozenset[str]:
    """The keys of a baseline; empty lines and those that begin with ``#`` say nothing.

    Raises:
        UnreadableReport: it can't be read, or a line is no key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UnreadableReport(
            f"the baseline {path} can't be read ({error}): write it by 'backchannel report baseline REPORT.json'"
        ) from error
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        key = line.strip()
        if key and not key.startswith("#"):
            if "#" not in key or ":" not in key:
                raise UnreadableReport(
                    f"{path}:{number}: {key!r} is no key of a gap, such as task:shop.tasks.ship#retried: write it by "
                    "'backchannel report baseline REPORT.json'"
                )
            found.add(key)
    return frozenset(found)


def baseline_text(report: Report) -> str:
    """The file for a report: all that is open, also what is not told by itself."""
    return HEAD + "".join(f"{key}\n" for key in sorted(report.open_keys()))


def closed(report: Report, baseline: Iterable[str]) -> list[str]:
    """The keys of a baseline that are open no more: it can be written anew without them."""
    return sorted(set(baseline) - report.open_keys())
