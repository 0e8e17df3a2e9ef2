"""``# noqa: BC201``: what a line allows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..diagnostic import Diagnostic

_NOQA = re.compile(r"#\s*noqa\b(?P<some>\s*:\s*(?P<codes>[A-Z]+\d+(?:[\s,]+[A-Z]+\d+)*))?", re.IGNORECASE)


def without_allowed(found: list[Diagnostic], texts: Mapping[str, bytes]) -> list[Diagnostic]:
    """Leave out what a comment on one of its lines allows.

    Args:
        found: what the rules say.
        texts: the bytes of the files, by their paths.
    """
    lines: dict[str, list[str]] = {}
    kept: list[Diagnostic] = []
    for one in found:
        if one.path not in lines:
            lines[one.path] = texts.get(one.path, b"").decode(errors="replace").splitlines()
        if not any(_allows(line, one.code) for line in lines[one.path][one.line - 1 : one.end_line]):
            kept.append(one)
    return kept


def _allows(line: str, code: str) -> bool:
    for match in _NOQA.finditer(line):
        if match["some"] is None:
            # `# noqa:` with something that is no list of codes allows nothing.
            return not line[match.end() :].lstrip().startswith(":")
        if any(code.startswith(given.upper()) for given in re.split(r"[\s,]+", match["codes"])):
            return True
    return False
