"""The breaks, as text, as JSON, and as annotations of a pull request on GitHub."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .comparing import ROLLING, WAITING
from .explaining import Told

FORMATS = ("text", "json", "github")
VERSION = 1
_TITLES = {
    WAITING: "Messages of {against} on this code (they wait in queues, and open pages send them):",
    ROLLING: "Messages of this code on the workers of {against} (a rolling deploy has both):",
}


def show(
    told: Sequence[Told], *, against: str, directions: Sequence[str], style: str, root: Path, workspace: Path
) -> Iterator[str]:
    """The lines to print.

    Args:
        told: the breaks, in words.
        against: the release, as it was given.
        directions: those that were looked at.
        style: ``text``, ``json`` or ``github``.
        root: the folder that the places are relative to.
        workspace: the folder that the files of annotations are relative to.
    """
    if style == "json":
        yield _as_json(told, against, directions)
        return
    for direction in directions:
        of_it = [one for one in told if one.found.direction == direction]
        yield _TITLES[direction].format(against=against)
        yield from _lines(of_it) if of_it else ["  all of them are understood"]
    if style == "github":
        yield from _annotations(told, root, workspace)


def _lines(told: Sequence[Told]) -> Iterator[str]:
    for one in told:
        where = f"  [{one.where}]" if one.where is not None else ""
        yield f"  BREAKS {one.found.kind}: {one.text}{where}"
        for way in one.ways:
            yield f"      {way}"


def _as_json(told: Sequence[Told], against: str, directions: Sequence[str]) -> str:
    data = {
        "format": "backchannel-contract-check",
        "version": VERSION,
        "against": against,
        "directions": list(directions),
        "breaks": [
            {
                "kind": one.found.kind,
                "direction": one.found.direction,
                "subject": one.found.subject,
                "beat": one.found.beat,
                "detail": one.found.detail,
                "message": one.found.message,
                "text": one.text,
                "file": one.where.path if one.where is not None else None,
                "line": one.where.line if one.where is not None else None,
                "ways_out": list(one.ways),
            }
            for one in told
        ],
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def _annotations(told: Sequence[Told], root: Path, workspace: Path) -> Iterator[str]:
    for one in told:
        place = ""
        if one.where is not None:
            path = os.path.relpath((root / one.where.path).resolve(), workspace.resolve())
            place = f" file={_escaped(path, parameter=True)},line={one.where.line},"
        title = "breaks waiting messages" if one.found.direction == WAITING else "breaks a rolling deploy"
        text = "\n".join([one.text, *one.ways])
        yield f"::error{place or ' '}title={title}::{_escaped(text)}"


def _escaped(text: str, *, parameter: bool = False) -> str:
    """As workflow commands have it (docs.github.com, "Workflow commands for GitHub Actions")."""
    for sign, code in [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")] + (
        [(":", "%3A"), (",", "%2C")] if parameter else []
    ):
        text = text.replace(sign, code)
    return text
