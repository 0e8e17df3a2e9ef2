"""One parsed file: its nodes by kind, what each stands in, and the names of its functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

from ..places import Place

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.AST)

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LEAVES = frozenset({ast.Name, ast.Constant})
_CONTEXTS = frozenset({ast.Load, ast.Store, ast.Del})
LONGEST_SOURCE = 200
"""What is quoted as it is written is cut after so many characters."""


class SourceFile:
    """A parsed file.

    Attributes:
        path: relative to the tree.
        module: its dotted name.
        package: what relative imports start from.
        tree: what ``ast`` made of it.
    """

    def __init__(self, tree: ast.Module, *, path: str, module: str) -> None:
        self.tree = tree
        self.path = path
        self.module = module
        is_package = path.endswith("__init__.py")
        self.package = module if is_package else module.rpartition(".")[0]
        self._parents: dict[ast.AST, ast.AST] = {}
        self._functions: dict[ast.AST, Function] = {}
        self._of_kind: dict[type[ast.AST], list[ast.AST]] = {}
        self._walk()

    def _walk(self) -> None:
        """Note each node's kind, its parent, and the function in whose body it is, in the order of the source."""
        # The innermost loop of all reading: it looks at classes by identity, and keeps what it uses in local names.
        parents, functions, of_kind = self._parents, self._functions, self._of_kind
        stack: list[tuple[ast.AST, Function | None]] = [(self.tree, None)]
        while stack:
            node, outer = stack.pop()
            kind = type(node)
            if kind in of_kind:
                of_kind[kind].append(node)
            else:
                of_kind[kind] = [node]
            if outer is not None:
                functions[node] = outer
            if kind in _LEAVES:
                continue
            children: list[tuple[ast.AST, Function | None]] = []
            for name in kind._fields:
                value = getattr(node, name, None)
                if type(value) is list:
                    inner = node if name == "body" and isinstance(node, FUNCTIONS) else outer
                    for child in value:
                        if isinstance(child, ast.AST):
                            parents[child] = node
                            children.append((child, inner))
                elif isinstance(value, ast.AST) and type(value) not in _CONTEXTS:
                    parents[value] = node
                    children.append((value, outer))
            children.reverse()
            stack.extend(children)

    def of_kind(self, kind: type[Node]) -> list[Node]:
        """All nodes of exactly this class, in the order of the source."""
        return self._of_kind.get(kind, [])  # type: ignore[return-value]

    def assignments(self) -> Iterator[tuple[ast.expr, ast.expr]]:
        """What each assignment anywhere is to, with its value: plain ones, then those with an annotation."""
        for assignment in self.of_kind(ast.Assign):
            for target in assignment.targets:
                yield target, assignment.value
        for annotated in self.of_kind(ast.AnnAssign):
            if annotated.value is not None:
                yield annotated.target, annotated.value

    def functions(self) -> list[Function]:
        """Every function and method."""
        return [*self.of_kind(ast.FunctionDef), *self.of_kind(ast.AsyncFunctionDef)]

    def parent(self, node: ast.AST) -> ast.AST | None:
        """What a node stands in; None for the module."""
        return self._parents.get(node)

    def ancestors(self, node: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
        """Pairs of what a node stands in, and of the part of it through which it is reached; the nearest first."""
        found: list[tuple[ast.AST, ast.AST]] = []
        child = node
        while (above := self._parents.get(child)) is not None:
            found.append((above, child))
            child = above
        return found

    def function_of(self, node: ast.AST) -> Function | None:
        """The function whose body a node is in. Decorators and defaults are outside of theirs."""
        return self._functions.get(node)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The innermost class whose body a node is in, through functions too."""
        for above, child in self.ancestors(node):
            if isinstance(above, ast.ClassDef) and child not in above.decorator_list and child not in above.bases:
                return above
        return None

    def qualname(self, node: ast.AST) -> str:
        """The names of a function or class and of those around it, without ``<locals>``; empty for the module."""
        names = [node.name] if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else []
        for above, child in self.ancestors(node):
            if isinstance(above, ast.ClassDef) or (isinstance(above, FUNCTIONS) and _in_body(above, child)):
                names.append(above.name)
        return ".".join(reversed(names))

    def dotted_name(self, node: ast.AST) -> str:
        """The same, below the module."""
        qualname = self.qualname(node)
        return f"{self.module}.{qualname}" if qualname else self.module

    def place(self, node: ast.expr | ast.stmt | ast.pattern) -> Place:
        """Where a node stands. A function or class stands at its ``def``, and is inside of what is around it."""
        above = self._parents.get(node, self.tree)
        return Place(
            path=self.path,
            line=node.lineno,
            end_line=node.end_lineno or node.lineno,
            module=self.module,
            inside=self.qualname(above) if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else self._around(node),
        )

    def _around(self, node: ast.AST) -> str:
        for above, child in self.ancestors(node):
            if isinstance(above, ast.ClassDef) or (isinstance(above, FUNCTIONS) and _in_body(above, child)):
                return self.qualname(above)
        return ""


def _in_body(function: Function, child: ast.AST) -> bool:
    return child not in function.decorator_list and child is not function.args and child is not function.returns


def written(node: ast.AST) -> str:
    """A node as it is written, in the short form that ``ast`` gives it."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= LONGEST_SOURCE else f"{text[: LONGEST_SOURCE - 1]}…"


def literal(node: ast.expr | None) -> tuple[bool, object]:
    """Whether a node is a literal, and its value; lists and sets are given as tuples, for a value that can be kept."""
    if node is None:
        return False, None
    try:
        return True, _frozen(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None


def _frozen(value: object) -> object:
    if isinstance(value, list | tuple | set):
        return tuple(_frozen(one) for one in value)
    if isinstance(value, dict):
        return {key: _frozen(one) for key, one in value.items()}
    return value


def text_of(node: ast.AST | None) -> str | None:
    """The value of a literal string, or None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
