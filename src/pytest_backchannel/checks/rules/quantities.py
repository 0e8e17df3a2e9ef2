"""Numbers and times that the code says, in the ways in which people write them: ``60 * 60``, ``timedelta(days=2)``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from ...source.reading.surroundings import last_name

_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
}
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_POSITIONS = ("days", "seconds")


def parsed(source: str) -> ast.expr | None:
    """An expression of which only the text is known; None where it was cut."""
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def number_of(node: ast.expr | None) -> float | None:
    """A number that is written out, with its ``+``, ``-`` and ``*``; None for what has a name in it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, int | float) and not isinstance(node.value, bool) else None
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = number_of(node.left), number_of(node.right)
        return _OPERATIONS[type(node.op)](left, right) if left is not None and right is not None else None
    return None


def seconds_of(node: ast.expr | None) -> float | None:
    """A span: a number of seconds, or a ``timedelta`` that is written out."""
    if isinstance(node, ast.Call) and last_name(node.func) == "timedelta":
        given = [*zip(_POSITIONS, node.args, strict=False), *((one.arg, one.value) for one in node.keywords)]
        parts = [(_SECONDS.get(name or ""), number_of(value)) for name, value in given]
        if len(node.args) > len(_POSITIONS) or any(unit is None or value is None for unit, value in parts):
            return None
        return sum(unit * value for unit, value in parts if unit is not None and value is not None)
    if isinstance(node, ast.Call) and last_name(node.func) == "total_seconds" and isinstance(node.func, ast.Attribute):
        return seconds_of(node.func.value)
    return number_of(node)


def from_now(node: ast.expr | None) -> float | None:
    """How far a moment is: of ``timezone.now() + timedelta(hours=2)`` two hours; None for other moments."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return None
    for moment, span in ((node.left, node.right), (node.right, node.left)):
        if isinstance(moment, ast.Call) and last_name(moment.func) in ("now", "utcnow"):
            return seconds_of(span)
    return None
