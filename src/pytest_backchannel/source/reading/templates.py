"""Strings that the code puts together, as patterns: ``f"invoice_{pk}"`` is ``invoice_{}``."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TypeAlias

from .scopes import Scopes
from .source_file import literal

DEEPEST = 12
_PERCENT = re.compile(r"%(?:\(\w+\))?[-+ #0]*(?:\d+|\*)?(?:\.\d+)?[sdirfuxX]")
_BRACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Ref:
    """A part of a string that another place gives: a constant, or the result of a function.

    Attributes:
        dotted: where it is.
        call: whether it is called.
    """

    dotted: str
    call: bool = False


Template: TypeAlias = tuple[str | Ref | None, ...]
"""The parts of a string; None is a part that only a run can know."""

UNKNOWN: Template = (None,)


def template(scopes: Scopes, node: ast.expr | None, depth: int = 0) -> Template:
    """The parts of the string that an expression gives."""
    if node is None or depth > DEEPEST:
        return UNKNOWN
    if isinstance(node, ast.Constant):
        return (str(node.value),) if isinstance(node.value, str | int) and not isinstance(node.value, bool) else UNKNOWN
    if isinstance(node, ast.JoinedStr):
        return _joined(scopes, node, depth)
    if isinstance(node, ast.BinOp):
        return _operation(scopes, node, depth)
    if isinstance(node, ast.Call):
        return _call(scopes, node, depth)
    if isinstance(node, ast.Name):
        value = scopes.value(node)
        if value is not None:
            return template(scopes, value, depth + 1)
    if isinstance(node, ast.Name | ast.Attribute):
        dotted = scopes.dotted(node)
        return (Ref(dotted),) if dotted and "()" not in dotted else UNKNOWN
    return UNKNOWN


def _joined(scopes: Scopes, node: ast.JoinedStr, depth: int) -> Template:
    parts: list[str | Ref | None] = []
    for value in node.values:
        if isinstance(value, ast.FormattedValue):
            parts.extend(template(scopes, value.value, depth + 1) if value.format_spec is None else UNKNOWN)
        else:
            parts.extend(template(scopes, value, depth + 1))
    return tuple(parts)


def _operation(scopes: Scopes, node: ast.BinOp, depth: int) -> Template:
    left = template(scopes, node.left, depth + 1)
    if isinstance(node.op, ast.Add):
        return (*left, *template(scopes, node.right, depth + 1))
    if isinstance(node.op, ast.Mod) and any(isinstance(part, str) for part in left):
        given = list(node.right.elts) if isinstance(node.right, ast.Tuple) else [node.right]
        return _filled(left, _PERCENT, [template(scopes, one, depth + 1) for one in given])
    return UNKNOWN


def _call(scopes: Scopes, node: ast.Call, depth: int) -> Template:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "format":
        plain = not node.keywords and not any(isinstance(one, ast.Starred) for one in node.args)
        given = [template(scopes, one, depth + 1) for one in node.args] if plain else []
        return _filled(template(scopes, function.value, depth + 1), _BRACES, given)
    if isinstance(function, ast.Name) and function.id == "str" and len(node.args) == 1:
        return template(scopes, node.args[0], depth + 1)
    dotted = scopes.dotted(function)
    return (Ref(dotted, call=True),) if dotted and "()" not in dotted else UNKNOWN


def _filled(parts: Template, hole: re.Pattern[str], given: list[Template]) -> Template:
    """The parts with each hole of a format filled by what is given for it; by nothing known where that is unclear."""
    found: list[str | Ref | None] = []
    holes = sum(len(hole.findall(part)) for part in parts if isinstance(part, str))
    fill = iter(given if holes == len(given) else [UNKNOWN] * holes)
    for part in parts:
        if not isinstance(part, str):
            found.append(part)
            continue
        end = 0
        for match in hole.finditer(part):
            found.append(part[end : match.start()])
            value = next(fill, UNKNOWN)
            found.extend(value if match.group() in ("%s", "%d", "{}") else UNKNOWN)
            end = match.end()
        found.append(part[end:])
    return tuple(part for part in found if part != "")


def returned(scopes: Scopes, returns: list[ast.Return]) -> Template | None:
    """What a function gives whose ``return`` statements these are, if they all give the same string."""
    found = {template(scopes, one.value) for one in returns if one.value is not None and not is_none(one.value)}
    return found.pop() if len(found) == 1 else None


def is_none(node: ast.expr) -> bool:
    """Whether it is None, as it is written."""
    return literal(node) == (True, None)
