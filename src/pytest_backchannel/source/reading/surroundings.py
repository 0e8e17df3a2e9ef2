"""What stands around a call: a transaction, a loop, a ``try``, what is given to ``on_commit``."""

from __future__ import annotations

import ast

from ..places import Surroundings
from .scopes import Scopes
from .source_file import FUNCTIONS, Function, SourceFile

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def surroundings(scopes: Scopes, node: ast.expr) -> Surroundings:
    """Of one call, up to the function around it; a lambda is looked through."""
    file = scopes.file
    found: dict[str, bool] = {}
    for above, child in file.ancestors(node):
        if isinstance(above, FUNCTIONS):
            found["in_atomic"] = found.get("in_atomic", False) or any(map(_is_atomic, above.decorator_list))
            found["in_on_commit"] = found.get("in_on_commit", False) or _is_callback(file, above)
            found["in_async"] = isinstance(above, ast.AsyncFunctionDef)
            break
        if isinstance(above, ast.ClassDef):
            break
        for name in _of_one(above, child):
            found[name] = True
    return Surroundings(**found, awaited=isinstance(file.parent(node), ast.Await))


def _of_one(above: ast.AST, child: ast.AST) -> list[str]:
    if isinstance(above, ast.With | ast.AsyncWith):
        return ["in_atomic"] if child in above.body and any(_is_atomic(one.context_expr) for one in above.items) else []
    if isinstance(above, ast.For | ast.AsyncFor | ast.While):
        return ["in_loop"] if child in above.body or isinstance(above, ast.While) else []
    if isinstance(above, COMPREHENSIONS):
        return ["in_loop"] if child is not above.generators[0] else []
    if isinstance(above, ast.Try | ast.TryStar):
        return ["in_try"] if child in above.body and above.handlers else []
    if isinstance(above, ast.Lambda):
        return ["in_lambda"]
    return ["in_on_commit"] if isinstance(above, ast.Call) and is_on_commit(above) and child is not above.func else []


def is_on_commit(call: ast.Call) -> bool:
    """Whether a call is ``on_commit(…)``, of whatever."""
    return last_name(call.func) in ("on_commit", "run_on_commit")


def last_name(node: ast.expr) -> str:
    """The name after the last dot; empty for what has none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_atomic(node: ast.expr) -> bool:
    """``atomic``, ``transaction.atomic(using=…)``, ``method_decorator(transaction.atomic)``."""
    if isinstance(node, ast.Call) and last_name(node.func) == "method_decorator" and node.args:
        return _is_atomic(node.args[0])
    return last_name(node.func if isinstance(node, ast.Call) else node) in ("atomic", "commit_on_success")


def _is_callback(file: SourceFile, function: Function) -> bool:
    """Whether a function within another is given to ``on_commit`` there, by its name or as a decorator."""
    outer = file.function_of(function)
    if any(last_name(one) == "on_commit" for one in function.decorator_list):
        return True
    if outer is None:
        return False
    return any(
        is_on_commit(call) and any(isinstance(one, ast.Name) and one.id == function.name for one in call.args)
        for call in file.of_kind(ast.Call)
        if file.function_of(call) is outer
    )
