"""Replaces parts of a file's text, by the positions that a syntax tree has."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, order=True)
class TextEdit:
    """One replacement; where start and end are the same, an insertion.

    Attributes:
        start: line, from 1, and column, in bytes.
        end: the same, of what comes after it.
        text: what to put there.
    """

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


def inserted(node: ast.expr | ast.stmt, text: str) -> TextEdit:
    """Put something before a node."""
    start = (node.lineno, node.col_offset)
    return TextEdit(start=start, end=start, text=text)


def appended(node: ast.expr | ast.stmt, text: str) -> TextEdit:
    """Put something after a node."""
    end = (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
    return TextEdit(start=end, end=end, text=text)


def applied(text: bytes, edits: Sequence[Sequence[TextEdit]]) -> tuple[bytes, list[bool]]:
    """A text with the edits of each finding made, and which of them were.

    Left alone are edits that meet another one's, and all of them where the result would be no Python.

    Args:
        text: the file's bytes.
        edits: of each finding, all that belong together.
    """
    if not _has_plain_positions(text):
        return text, [False] * len(edits)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    taken: list[tuple[int, int]] = []
    chosen: list[tuple[int, int, bytes]] = []
    made: list[bool] = []
    for some in edits:
        spans = [(_offset(starts, one.start), _offset(starts, one.end), one.text.encode()) for one in some]
        whole = (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else (0, 0)
        free = bool(spans) and all(whole[1] < start or end < whole[0] for start, end in taken)
        made.append(free)
        if free:
            taken.append(whole)
            chosen += spans
    new = text
    for start, end, replacement in sorted(chosen, reverse=True):
        new = new[:start] + replacement + new[end:]
    try:
        ast.parse(new)
    except (SyntaxError, ValueError):
        return text, [False] * len(edits)
    return new, made


def _has_plain_positions(text: bytes) -> bool:
    """Whether the columns of a syntax tree, which are those of UTF-8, are the file's own."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not text.startswith(b"\xef\xbb\xbf")


def _offset(starts: Sequence[int], position: tuple[int, int]) -> int:
    return starts[position[0] - 1] + position[1]
