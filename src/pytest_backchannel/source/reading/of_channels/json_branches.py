"""The comparisons, ``match`` statements and tables by which one method decides on a client's message."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from ..file_facts import RawBranch
from ..scopes import Scopes
from ..source_file import Function, text_of
from ..surroundings import last_name

DECODERS = frozenset({"loads", "decode_json"})
_TAKES = frozenset({"get", "pop"})


class Finder:
    """Reads one method.

    Args:
        scopes: the names of the file.
        owner: the class, for the tables that it keeps; None where no branches are asked for.
        function: the method.
        messages: the variables that hold a client's message.
        keys: the variables that hold a value of it, each with the key.
    """

    def __init__(
        self, scopes: Scopes, owner: ast.ClassDef | None, function: Function, messages: set[str], keys: dict[str, str]
    ) -> None:
        self._scopes = scopes
        self._owner = owner
        self._function = function
        self._messages = set(messages)
        self._keys = dict(keys)
        for name, assigned in scopes.of(function).assigned.items():
            for _, value in assigned:
                if value is not None and (key := self._key_taken(value)) is not None:
                    self._keys.setdefault(name, key)

    def own_calls(self) -> Iterator[ast.Call]:
        """The calls of ``self.…`` in the method."""
        for node in ast.walk(self._function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_self(node.func.value):
                yield node

    def is_message(self, node: ast.expr) -> bool:
        """Whether it is the whole message."""
        return (isinstance(node, ast.Name) and node.id in self._messages) or is_decoded(node)

    def field_of(self, node: ast.expr) -> str | None:
        """The key whose value an expression is, or None."""
        if isinstance(node, ast.Name):
            return self._keys.get(node.id)
        return self._key_taken(node)

    def _key_taken(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.NamedExpr):
            return self._key_taken(node.value)
        if isinstance(node, ast.Subscript) and self.is_message(node.value):
            return text_of(node.slice)
        taken = taken_from(node)
        return text_of(taken[1]) if taken is not None and self.is_message(taken[0]) else None

    def branches(self) -> Iterator[RawBranch]:
        """In the order of the source."""
        for node in ast.walk(self._function):
            if isinstance(node, ast.Compare):
                yield from self._of_comparison(node)
            elif isinstance(node, ast.Match):
                yield from self._of_match(node)
            elif isinstance(node, ast.Subscript):
                yield from self._of_table(node, node.value, node.slice, has_default=False)
            elif isinstance(node, ast.Call) and (taken := taken_from(node)) is not None:
                yield from self._of_table(node, *taken, has_default=True)

    def _branch(
        self,
        node: ast.expr | ast.stmt | ast.pattern,
        field: str,
        value: str | int,
        style: str,
        body: list[ast.AST],
        *,
        has_default: bool,
    ) -> RawBranch:
        calls = [
            one.attr
            for part in body
            for one in ast.walk(part)
            if isinstance(one, ast.Attribute) and is_self(one.value) and one.attr not in ("scope", "channel_layer")
        ]
        return RawBranch(
            method=self._function.name,
            field=field,
            style=style,
            value=value,
            line=node.lineno,
            place=self._scopes.file.place(node),
            calls=tuple(dict.fromkeys(calls)),
            has_default=has_default,
        )

    def _of_comparison(self, node: ast.Compare) -> Iterator[RawBranch]:
        if len(node.ops) != 1:
            return
        operator, left, right = node.ops[0], node.left, node.comparators[0]
        field = self.field_of(left)
        if field is None and isinstance(operator, ast.Eq | ast.NotEq):
            field, right = self.field_of(right), left
        if field is None:
            return
        values = self._values(operator, right)
        statement = self._scopes.file.parent(node)
        is_if = isinstance(statement, ast.If) and statement.test is node and isinstance(operator, ast.Eq | ast.In)
        body: list[ast.AST] = list(statement.body) if is_if and isinstance(statement, ast.If) else []
        default = _ends_in_else(statement) if isinstance(statement, ast.If) else False
        for value in values:
            yield self._branch(node, field, value, "if", body, has_default=default)

    def _values(self, operator: ast.cmpop, node: ast.expr) -> list[str | int]:
        if isinstance(operator, ast.Eq | ast.NotEq):
            return _scalars([node])
        if isinstance(operator, ast.In | ast.NotIn) and isinstance(node, ast.List | ast.Tuple | ast.Set):
            return _scalars(node.elts)
        return []

    def _of_match(self, node: ast.Match) -> Iterator[RawBranch]:
        default = any(isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in node.cases)
        for case in node.cases:
            body: list[ast.AST] = list(case.body)
            for field, value, pattern in self._matched(node.subject, case.pattern):
                yield self._branch(pattern, field, value, "match", body, has_default=default)

    def _matched(self, subject: ast.expr, pattern: ast.pattern) -> Iterator[tuple[str, str | int, ast.pattern]]:
        if isinstance(pattern, ast.MatchOr):
            for one in pattern.patterns:
                yield from self._matched(subject, one)
        elif isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
            yield from self._matched(subject, pattern.pattern)
        elif isinstance(pattern, ast.MatchMapping) and self.is_message(subject):
            first = next(zip(pattern.keys, pattern.patterns, strict=True), None)
            if first is not None and (key := text_of(first[0])) is not None:
                yield from ((key, value, pattern) for value in _pattern_values(first[1]))
        elif (field := self.field_of(subject)) is not None:
            yield from ((field, value, pattern) for value in _pattern_values(pattern))

    def _of_table(self, node: ast.expr, table: ast.expr, key: ast.expr, *, has_default: bool) -> Iterator[RawBranch]:
        field = self.field_of(key)
        if field is None or self.is_message(table) or (entries := self._table(table)) is None:
            return
        for name, value in zip(entries.keys, entries.values, strict=True):
            for scalar in _scalars([name] if name is not None else []):
                branch = self._branch(name or node, field, scalar, "table", [value], has_default=has_default)
                named = value.id if isinstance(value, ast.Name) else text_of(value)
                yield branch if branch.calls or not named else replace(branch, calls=(named,))

    def _table(self, node: ast.expr) -> ast.Dict | None:
        if isinstance(node, ast.Name):
            value = self._scopes.value(node) or self._scopes.assigned.get(node.id)
            return self._table(value) if value is not None and not isinstance(value, ast.Name) else None
        if isinstance(node, ast.Attribute) and is_self(node.value) and self._owner is not None:
            return next((value for name, value in self._tables_of_class() if name == node.attr), None)
        return node if isinstance(node, ast.Dict) else None

    def _tables_of_class(self) -> Iterator[tuple[str, ast.Dict]]:
        for statement in ast.walk(self._owner) if self._owner is not None else ():
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, statement.value
                    elif isinstance(target, ast.Attribute) and is_self(target.value):
                        yield target.attr, statement.value


def is_self(node: ast.expr) -> bool:
    """Whether it is ``self``."""
    return isinstance(node, ast.Name) and node.id == "self"


def is_decoded(node: ast.expr) -> bool:
    """``json.loads(…)``, ``await self.decode_json(…)``, and so on."""
    if isinstance(node, ast.Await):
        return is_decoded(node.value)
    return isinstance(node, ast.Call) and last_name(node.func) in DECODERS


def taken_from(node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """The receiver and the key of ``x.get(key)`` and ``x.pop(key)``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TAKES and node.args:
        return node.func.value, node.args[0]
    return None


def _scalars(nodes: list[ast.expr]) -> list[str | int]:
    values = [one.value for one in nodes if isinstance(one, ast.Constant)]
    return [value for value in values if isinstance(value, str | int) and not isinstance(value, bool)]


def _pattern_values(pattern: ast.pattern) -> list[str | int]:
    if isinstance(pattern, ast.MatchOr):
        return [value for one in pattern.patterns for value in _pattern_values(one)]
    return _scalars([pattern.value]) if isinstance(pattern, ast.MatchValue) else []


def _ends_in_else(statement: ast.If) -> bool:
    """Whether an ``if … elif …`` has an ``else``."""
    while len(statement.orelse) == 1 and isinstance(statement.orelse[0], ast.If):
        statement = statement.orelse[0]
    return bool(statement.orelse)
