"""The keys by which a baseline knows what was found: no line, and no value that is another one in the next run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .audit_data import Finding
from .rollback.sends_inside import SendInside

OF_TASK, OF_SEND = "audit:", "rollback:"
"""What the keys begin with: of what breaks a task, and of what is sent inside a transaction."""

# Whose subject is a text of the test's data: of whom a mail is, or what was raised.
_ALL_DATA = ("mail", "raises", "hangs")
# Whose subject has data in it.
_SOME_DATA = ("http", "send", "cache")
_WITH_NUMBER = re.compile(r"[^\s/]*\d[^\s/]*")


def keys_of(task: str, findings: Sequence[Finding]) -> list[str]:
    """The keys of what was found of one task, in the order of the findings.

    Args:
        task: its name.
        findings: one of each cause.

    Example:
        >>> keys_of("shop.tasks.ship", [Finding(level="breaks", kind="insert", text="…", of="shop_order")])
        ['audit:shop.tasks.ship#insert:shop_order']
    """
    return _numbered([(f"{OF_TASK}{task}#{_subject(one)}", one.where) for one in findings])


def send_keys(sends: Iterable[SendInside], root: Path) -> dict[SendInside, str]:
    """The key of each line that sends inside a transaction.

    Args:
        sends: what was found.
        root: what the files in the keys are relative to.
    """
    found = sorted(sends)
    bases = [f"{OF_SEND}{one.what}#{one.slug}{_at(one.where, root)}" for one in found]
    return dict(zip(found, _numbered([(base, one.where) for base, one in zip(bases, found, strict=True)]), strict=True))


def keys_in(data: Mapping[str, Any]) -> list[str]:
    """The keys of what fails a run, in the audit's JSON: what breaks a task, and sends that are not intended.

    Args:
        data: of the file.
    """
    causes = (cause for task in data.get("tasks", ()) for cause in task["causes"])
    sends = (send for send in data.get("rollback", ()) if not send["allowed"])
    return [*(cause["key"] for cause in causes if cause["level"] == "breaks"), *(send["key"] for send in sends)]


def _subject(finding: Finding) -> str:
    plain = finding.kind.removeprefix("lost-")
    if plain in _ALL_DATA or not finding.of:
        return finding.kind
    of = _WITH_NUMBER.sub("#", finding.of) if plain in _SOME_DATA else finding.of
    return f"{finding.kind}:{of}"


def _at(where: str, root: Path) -> str:
    """The file of a line; where it is run from does not matter."""
    file = where.rpartition(":")[0]
    return f"@{Path(os.path.relpath(file, root)).as_posix()}" if file else ""


def _numbered(found: Sequence[tuple[str, str]]) -> list[str]:
    """Each with a number where several lines have the same key: as the lines follow one another."""
    lines: dict[str, set[str]] = {}
    for base, where in found:
        lines.setdefault(base, set()).add(where)
    order = {base: sorted(of_base, key=_place) for base, of_base in lines.items()}
    return [f"{base}#{at + 1}" if (at := order[base].index(where)) else base for base, where in found]


def _place(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (where, 0)
