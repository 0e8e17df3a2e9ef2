"""Whether a consumer may read what it has missed after it has joined a group: read from its code, which is not run."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

# What reads nothing: joining, accepting, logging, and what makes or keeps a value.
_HARMLESS = frozenset(
    ("group_add", "accept", "async_to_sync", "super")
    + ("debug", "info", "warning", "error", "exception", "log")
    + ("str", "repr", "format", "len", "int", "isinstance", "getattr", "append", "add")
)


def may_catch_up(connect: Callable[..., Any] | None, line: int | None) -> bool:
    """Whether ``connect()`` may do something after a join that tells the client what was sent before it.

    A history that is empty sends nothing, and so what a test has seen says too little: each further call counts that is
    not known to read nothing. Where the code can't be read, or the join is not in it, it may.

    Args:
        connect: the consumer's method.
        line: the line of the join, in its file; None where it is not known: then the first one counts.
    """
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(connect))  # type: ignore[arg-type]
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return True
    joins = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "group_add"]
    if line is not None:
        joins = [node for node in joins if node.lineno <= line - first + 1 <= (node.end_lineno or node.lineno)]
    if not joins:
        return True
    joined = min((node.end_lineno or 0, node.end_col_offset or 0) for node in joins)
    return any(_reads(node) for node in ast.walk(tree) if _start(node) > joined)


def _start(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _reads(node: ast.AST) -> bool:
    if isinstance(node, ast.For | ast.AsyncFor | ast.AsyncWith | ast.comprehension):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name not in _HARMLESS
