"""Which keys of its message a handler of a consumer needs, by its code.

Needed is ``event["text"]`` where every run of the handler comes by. What stands below an ``if``, in a ``try`` or a loop
is not; nor is ``event.get("text")``, nor a message that is handed on as a whole.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

_ELSEWHERE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_MAYBE = (ast.If, ast.Try, ast.For, ast.AsyncFor, ast.While, ast.Match)
_LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)


def keys_of(path: Path, line: int, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys that a handler needs, and those for which it asks before that, and may return.

    Args:
        path: its file.
        line: the line of its ``def``, or of its first decorator.
        name: its name.

    Returns:
        Both sorted; empty where the file can't be read, or has no such function there.
    """
    for function in _functions(path):
        first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
        if function.name == name and first <= line <= (function.end_lineno or first):
            return _of(function)
    return (), ()


@lru_cache(maxsize=256)
def _functions(path: Path) -> Sequence[ast.FunctionDef | ast.AsyncFunctionDef]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[tuple[str, ...], tuple[str, ...]]:
    parameters = [*function.args.posonlyargs, *function.args.args]
    if len(parameters) < 2:
        return (), ()
    reader = _Reader(parameters[1].arg)
    reader.block(function.body)
    return tuple(sorted(reader.needs)), tuple(sorted(reader.asks))


class _Reader:
    def __init__(self, message: str) -> None:
        self.message = message
        self.needs: set[str] = set()
        self.asks: set[str] = set()
        # An exit that asks for nothing of the message is as likely with one release's message as with the other's.
        self.given_away = False

    def block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            if self.given_away:
                return
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.With | ast.AsyncWith):
            for item in statement.items:
                self.always(item.context_expr)
            self.block(statement.body)
        elif isinstance(statement, _MAYBE):
            head = self._head(statement)
            if head is not None:
                self.always(head)
            if any(isinstance(node, _LEAVES) for node in ast.walk(statement)):
                self._asked(statement)
        elif not isinstance(statement, _ELSEWHERE):
            self.always(statement)
            self.given_away = isinstance(statement, _LEAVES) or self._is_rebound(statement)

    def _head(self, statement: ast.stmt) -> ast.expr | None:
        """What is looked at each time, whatever is done then."""
        if isinstance(statement, ast.If | ast.While):
            return statement.test
        if isinstance(statement, ast.For | ast.AsyncFor):
            return statement.iter
        return statement.subject if isinstance(statement, ast.Match) else None

    def _is_rebound(self, statement: ast.stmt) -> bool:
        """Whether the name of the message means something else from here on, or it is given another key."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id == self.message and isinstance(node.ctx, ast.Store):
                return True
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and self._is_message(node.value):
                return True
            if isinstance(node, ast.Attribute) and self._is_message(node.value) and node.attr in _CHANGES:
                return True
        return False

    def _is_message(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self.message

    def always(self, node: ast.AST) -> None:
        for one in self._surely(node):
            if isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Load) and self._is_message(one.value):
                key = one.slice
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value != "type":
                    self.needs.add(key.value)

    def _surely(self, node: ast.AST) -> Iterator[ast.AST]:
        """The parts of an expression that are computed each time."""
        yield node
        if isinstance(node, ast.BoolOp):
            yield from self._surely(node.values[0])
        elif isinstance(node, ast.IfExp):
            yield from self._surely(node.test)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            yield from self._surely(node.generators[0].iter)
        elif not isinstance(node, _ELSEWHERE):
            for child in ast.iter_child_nodes(node):
                yield from self._surely(child)

    def _asked(self, statement: ast.stmt) -> None:
        """The keys that decide whether what follows is reached."""
        for node in ast.walk(statement):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and self._is_message(node.func.value)
            ):
                self.asks.update(_texts(node.args[:1]))
            elif isinstance(node, ast.Compare) and any(self._is_message(one) for one in node.comparators):
                self.asks.update(_texts([node.left]))
            elif isinstance(node, ast.Try):
                # Whatever it lacks may be met here.
                self.given_away = True


_CHANGES = frozenset({"setdefault", "update"})


def _texts(nodes: Sequence[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
