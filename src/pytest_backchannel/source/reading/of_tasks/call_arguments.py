"""What a call gives to a task, as it is written."""

from __future__ import annotations

import ast

from ...task_facts import Arguments
from ..source_file import written

CALLS_LIKE_THE_TASK = frozenset({"delay", "delay_on_commit", "s", "si", "map", "starmap"})
"""Methods whose arguments are the task's own."""


def arguments_of(method: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Arguments:
    """Of a call of this method of a task, by its arguments.

    Args:
        method: ``delay``, ``apply_async``, ``signature``, ``retry``, ….
        args: the positional arguments; for ``send_task`` without the name.
        keywords: the named ones.
    """
    if method in CALLS_LIKE_THE_TASK:
        return Arguments(positional=_plain(args), named=_named(keywords))
    given = {one.arg: one.value for one in keywords if one.arg is not None}
    of_task: dict[str, ast.expr] = dict(zip(("args", "kwargs"), args, strict=False))
    of_task.update({name: given[name] for name in ("args", "kwargs") if name in given})
    hidden = any(one.arg is None for one in keywords)
    return Arguments(
        positional=None if hidden and "args" not in of_task else _listed(of_task.get("args")),
        named=None if hidden and "kwargs" not in of_task else _mapped(of_task.get("kwargs")),
        options={name: written(value) for name, value in given.items() if name not in ("args", "kwargs")},
    )


def _plain(args: list[ast.expr]) -> tuple[str, ...] | None:
    if any(isinstance(one, ast.Starred) for one in args):
        return None
    return tuple(written(one) for one in args)


def _named(keywords: list[ast.keyword]) -> dict[str, str] | None:
    found = {one.arg: written(one.value) for one in keywords if one.arg is not None}
    return found if len(found) == len(keywords) else None


def _listed(node: ast.expr | None) -> tuple[str, ...] | None:
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return ()
    return _plain(node.elts) if isinstance(node, ast.List | ast.Tuple) else None


def _mapped(node: ast.expr | None) -> dict[str, str] | None:
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return {}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return _named(node.keywords)
    if not isinstance(node, ast.Dict):
        return None
    found: dict[str, str] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            return None
        found[key.value] = written(value)
    return found
