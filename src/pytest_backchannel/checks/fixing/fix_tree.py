"""Mends what rules have found, in the files themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import BackchannelError
from ..checked_file import checked_file
from ..diagnostic import Diagnostic
from ..rule_table import RULES
from .text_edits import applied

_OF = {rule.code: rule for rule in RULES}


def fix_tree(root: Path, found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Write the edits of the rules that have some.

    Args:
        root: the folder, or the file, that was checked.
        found: what was found there; of the rules that may change it.

    Returns:
        What was mended; the lines of everything else may have moved.

    Raises:
        BackchannelError: a file can't be written.
    """
    mended: list[Diagnostic] = []
    for name in sorted({one.path for one in found if _OF[one.code].mends}):
        path = root if root.is_file() else root / name
        mended += _fix_file(path, name, [one for one in found if one.path == name and _OF[one.code].mends])
    return mended


def _fix_file(path: Path, name: str, found: list[Diagnostic]) -> list[Diagnostic]:
    text = path.read_bytes()
    file = checked_file(name, name.removesuffix(".py").replace("/", "."), text)
    if file is None:
        return []
    new, made = applied(text, [_OF[one.code].edits(file, one) for one in found])
    if new == text:
        return []
    try:
        path.write_bytes(new)
    except OSError as error:
        raise BackchannelError(f"{path} can't be written: {error.strerror}") from error
    return [one for one, was in zip(found, made, strict=True) if was]
