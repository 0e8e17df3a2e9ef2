"""What was found, as text, as JSON, or as GitHub's annotations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ..diagnostic import Diagnostic
from ..rule import Rule
from ..rule_table import RULES

FORMAT_VERSION = 1
"""Of the JSON document; a change that a reader could stumble on makes it another."""

_OF: Mapping[str, Rule] = {rule.code: rule for rule in RULES}
Written: TypeAlias = Callable[[Sequence[Diagnostic], int, str], Iterator[str]]


def as_text(found: Sequence[Diagnostic], files: int, skipped: str) -> Iterator[str]:
    """A line each, as compilers and linters write it."""
    for one in found:
        yield f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}"
        yield f"    {_OF[one.code].fix}"
    if not found:
        yield f"Nothing found in {files} files."
    else:
        yield f"Found {len(found)} in {files} files. `backchannel check --explain {found[0].code}` says more."


def as_json(found: Sequence[Diagnostic], files: int, skipped: str) -> Iterator[str]:
    """One document."""
    diagnostics = [
        {**one.as_json(), "name": _OF[one.code].name, "severity": _OF[one.code].severity, "fix": _OF[one.code].fix}
        for one in found
    ]
    yield json.dumps(
        {"version": FORMAT_VERSION, "files": files, "skipped": skipped, "diagnostics": diagnostics}, indent=2
    )


def as_github(found: Sequence[Diagnostic], files: int, skipped: str) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    for one in found:
        place = f"file={_escaped(one.path)},line={one.line},endLine={one.end_line},col={one.column}"
        message = f"{one.message}. {_OF[one.code].fix}".replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        yield f"::{_OF[one.code].severity} {place},title={one.code} {_OF[one.code].name}::{message}"


def _escaped(value: str) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        value = value.replace(char, code)
    return value


def statistics(found: Sequence[Diagnostic]) -> Iterator[str]:
    """How often each rule spoke, the most frequent first."""
    counts = Counter(one.code for one in found)
    for code, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        yield f"{count:5} {code} {_OF[code].name}"


def explanation(code: str) -> str:
    """All that a rule says of itself.

    Raises:
        KeyError: there is no such rule.
    """
    rule = _OF[code]
    page = f"\n\nMore: docs/{rule.page}" if rule.page else ""
    text = f"{rule.code} {rule.name} ({rule.severity})\n\n{rule.summary}\n\n{rule.why}\n\nFix: {rule.fix}"
    if rule.wrong:
        text += f"\n\nWrong ({rule.path}):\n{_indented(rule.wrong)}\n\nRight:\n{_indented(rule.right)}"
    return text + page


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())


FORMATS: Mapping[str, Written] = {"text": as_text, "json": as_json, "github": as_github}
