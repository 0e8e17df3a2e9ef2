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
HEAD_OF_AUDIT = """\
# What the audit has found when this was written, a key a line: with --backchannel-baseline, what is new fails the run.
# Written anew by: backchannel report baseline AUDIT.json
"""
_OF_AUDIT = ("audit:", "rollback:")
"""With what the keys of the audit begin, which stand in the same file."""


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


def baseline_text(report: Report | None, findings: Iterable[str] | None = None) -> str:
    """The file for a report: all that is open, also what is not told by itself; and for an audit.

    Args:
        report: None where there is none.
        findings: the keys of what the audit has found; None where there is no audit.
    """
    text = "" if report is None else _part(HEAD, report.open_keys())
    return text if findings is None else text + _part(HEAD_OF_AUDIT, findings)


def _part(head: str, keys: Iterable[str]) -> str:
    return head + "".join(f"{key}\n" for key in sorted(set(keys)))


def closed(report: Report, baseline: Iterable[str]) -> list[str]:
    """The keys of a baseline that are open no more: it can be written anew without them."""
    return sorted(key for key in set(baseline) - report.open_keys() if not key.startswith(_OF_AUDIT))
