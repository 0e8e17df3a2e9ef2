"""What a name means at a place: an import, something of the module, or a variable with the value it was given."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from .source_file import FUNCTIONS, Function, SourceFile


@dataclass
class Scope:
    """What a function binds."""

    parameters: list[str] = field(default_factory=list[str])
    imports: dict[str, str] = field(default_factory=dict[str, str])
    nested: set[str] = field(default_factory=set[str])
    assigned: dict[str, list[tuple[ast.stmt, ast.expr | None]]] = field(
        default_factory=dict[str, list[tuple[ast.stmt, ast.expr | None]]]
    )


class Scopes:
    """The names of one file.

    Attributes:
        imports: what the module imports, by the name that it has here.
        stars: the modules of which it imports everything.
        assigned: what the module's own statements assign, by name; the last one counts.
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.imports: dict[str, str] = {}
        self.stars: list[str] = []
        self.assigned: dict[str, ast.expr] = {}
        self._functions: dict[Function, Scope] = {}
        self._read_module()

    def _read_module(self) -> None:
        statements: list[ast.Import | ast.ImportFrom] = [
            *self.file.of_kind(ast.Import),
            *self.file.of_kind(ast.ImportFrom),
        ]
        for node in statements:
            if self.file.function_of(node) is None:
                found, stars = imported(node, self.file.package)
                self.imports.update(found)
                self.stars.extend(stars)
        for statement in self.file.of_kind(ast.Assign):
            if self._at_module_level(statement):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        self.assigned[target.id] = statement.value
        for annotated in self.file.of_kind(ast.AnnAssign):
            if isinstance(annotated.target, ast.Name) and annotated.value and self._at_module_level(annotated):
                self.assigned[annotated.target.id] = annotated.value

    def _at_module_level(self, node: ast.stmt) -> bool:
        return not any(isinstance(above, (*FUNCTIONS, ast.ClassDef)) for above, _ in self.file.ancestors(node))

    def of(self, function: Function) -> Scope:
        """What a function binds."""
        if not self._functions:
            self._functions = {one: Scope(parameters=parameter_names(one.args)) for one in self.file.functions()}
            self._fill()
        return self._functions[function]

    def _fill(self) -> None:
        """Note what each function binds itself; functions and classes within have names of their own."""
        file = self.file
        statements: list[ast.Import | ast.ImportFrom] = [*file.of_kind(ast.Import), *file.of_kind(ast.ImportFrom)]
        for statement in statements:
            if (function := file.function_of(statement)) is not None:
                self._functions[function].imports.update(imported(statement, file.package)[0])
        for named in (*file.functions(), *file.of_kind(ast.ClassDef)):
            if (function := file.function_of(named)) is not None and not isinstance(file.parent(named), ast.ClassDef):
                self._functions[function].nested.add(named.name)
        for kind in _BINDING:
            for node in file.of_kind(kind):
                function = file.function_of(node)
                if function is None or isinstance(file.parent(node), ast.ClassDef):
                    continue
                for name, value in _bindings(node):
                    self._functions[function].assigned.setdefault(name, []).append((self._statement(node), value))

    def _statement(self, node: ast.AST) -> ast.stmt:
        above: ast.AST | None = node
        while above is not None and not isinstance(above, ast.stmt):
            above = self.file.parent(above)
        return above if above is not None else self.file.tree.body[0]

    def value(self, node: ast.Name) -> ast.expr | None:
        """The value that a local variable has here, if one assignment alone can have given it."""
        function = self.file.function_of(node)
        outer = False
        while function is not None:
            scope = self.of(function)
            if node.id in scope.assigned and not self._bound_nearer(node):
                return self._reaching(scope.assigned[node.id], node, only=outer)
            if node.id in scope.parameters or node.id in scope.imports or node.id in scope.nested:
                return None
            function = self.file.function_of(function)
            outer = True
        return None

    def dotted(self, node: ast.expr) -> str | None:
        """The dotted name of what an expression refers to, as far as this file says; None for a plain variable.

        ``self.x`` in a method of ``Chat`` is ``module.Chat.x``, and a call adds ``()``.
        """
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else None
        if isinstance(node, ast.Call):
            base = self.dotted(node.func)
            return f"{base}()" if base else None
        if isinstance(node, ast.Await):
            return self.dotted(node.value)
        return self._dotted_name(node) if isinstance(node, ast.Name) else None

    def _dotted_name(self, node: ast.Name) -> str | None:
        name = node.id
        if self._bound_nearer(node):
            return None
        function = self.file.function_of(node)
        while function is not None:
            scope = self.of(function)
            if name in scope.imports:
                return scope.imports[name]
            if name in scope.nested:
                return f"{self.file.dotted_name(function)}.{name}"
            if name in scope.assigned:
                value = self.value(node)
                same = isinstance(value, ast.Name) and value.id == name
                return self.dotted(value) if value is not None and not same else None
            if name in scope.parameters:
                return self._self_or_none(function, scope, name)
            function = self.file.function_of(function)
        if self.file.function_of(node) is None and (owner := self._class_that_binds(node)) is not None:
            return f"{self.file.dotted_name(owner)}.{name}"
        return self.imports.get(name) or f"{self.file.module}.{name}"

    def _class_that_binds(self, node: ast.Name) -> ast.ClassDef | None:
        """The class in whose body a name stands, where that body has assigned or defined it."""
        owner = self.file.class_of(node)
        for statement in owner.body if owner is not None else ():
            if statement.lineno >= node.lineno:
                break
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if any(node.id in target_names(one) for one in targets):
                return owner
            if isinstance(statement, FUNCTIONS) and statement.name == node.id:
                return owner
        return None

    def _self_or_none(self, function: Function, scope: Scope, name: str) -> str | None:
        """The class, where the name is the first parameter of one of its methods."""
        parent = self.file.parent(function)
        is_static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)
        if isinstance(parent, ast.ClassDef) and scope.parameters[0] == name and not is_static:
            return self.file.dotted_name(parent)
        return None

    def _bound_nearer(self, node: ast.Name) -> bool:
        """Whether a lambda or a comprehension around it, and within its function, has a variable of this name."""
        for above, _ in self.file.ancestors(node):
            if isinstance(above, FUNCTIONS):
                return False
            if isinstance(above, ast.Lambda) and node.id in parameter_names(above.args):
                return True
            if isinstance(above, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) and any(
                node.id in target_names(generator.target) for generator in above.generators
            ):
                return True
        return False

    def _reaching(
        self, assigned: list[tuple[ast.stmt, ast.expr | None]], node: ast.expr, *, only: bool
    ) -> ast.expr | None:
        """The assignment that surely was the last one before this place."""
        if only:
            return assigned[0][1] if len(assigned) == 1 else None
        around = {above for above, _ in self.file.ancestors(node)} | {node}
        # In `x = f(x)` the second one is the value before.
        assigned = [(statement, value) for statement, value in assigned if value not in around]
        before = [(statement, value) for statement, value in assigned if statement.lineno < node.lineno]
        if not before and len(assigned) == 1 and assigned[0][0].lineno == node.lineno:
            before = assigned  # on one line: x = 1; f(x), or a walrus
        if not before:
            return None
        statement, value = max(before, key=lambda one: one[0].lineno)
        return value if self._always_before(statement, node) else None

    def _always_before(self, statement: ast.stmt, node: ast.expr) -> bool:
        """Whether no branch can lead to the place past the statement. The body of ``with`` and ``try`` is no branch."""
        around = dict(self.file.ancestors(node))
        child: ast.AST = statement
        above = self.file.parent(statement)
        while above not in around and (
            isinstance(above, ast.With | ast.AsyncWith)
            or (isinstance(above, ast.Try | ast.TryStar) and child in above.body)
        ):
            child, above = above, self.file.parent(above)
        if above is None or above not in around:
            return any(part is statement for part in around.values())
        return _same_block(above, child, around[above])


def _same_block(above: ast.AST, one: ast.AST, other: ast.AST) -> bool:
    blocks = [block for name in above._fields if isinstance(block := getattr(above, name), list)]
    return any(one in block and other in block for block in blocks)


def imported(node: ast.Import | ast.ImportFrom, package: str) -> tuple[dict[str, str], list[str]]:
    """What an import binds, by name, and the modules of which it takes everything."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
            for alias in node.names
        }, []
    module = node.module or ""
    if node.level:
        parts = package.split(".") if package else []
        parts = parts[: len(parts) - (node.level - 1)]
        module = ".".join([*parts, *([module] if module else [])])
    found = {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names if alias.name != "*"}
    return found, [module] if any(alias.name == "*" for alias in node.names) else []


def parameter_names(arguments: ast.arguments) -> list[str]:
    """The names of all parameters, in their order."""
    plain = [*arguments.posonlyargs, *arguments.args]
    rest = [one for one in (arguments.vararg, *arguments.kwonlyargs, arguments.kwarg) if one is not None]
    return [one.arg for one in (*plain, *rest)]


def target_names(target: ast.expr) -> list[str]:
    """The plain names that an assignment to this binds."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        return [name for one in target.elts for name in target_names(one)]
    return target_names(target.value) if isinstance(target, ast.Starred) else []


_BINDING: tuple[type[ast.AST], ...] = (
    ast.Assign,
    ast.AnnAssign,
    ast.NamedExpr,
    ast.AugAssign,
    ast.For,
    ast.AsyncFor,
    ast.withitem,
    ast.ExceptHandler,
)


def _bindings(node: ast.AST) -> list[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        plain = [(target.id, node.value) for target in node.targets if isinstance(target, ast.Name)]
        others = [name for target in node.targets if not isinstance(target, ast.Name) for name in target_names(target)]
        return [*plain, *((name, None) for name in others)]
    if isinstance(node, ast.AnnAssign | ast.NamedExpr) and isinstance(node.target, ast.Name):
        return [(node.target.id, node.value)]
    if isinstance(node, ast.AugAssign | ast.For | ast.AsyncFor):
        return [(name, None) for name in target_names(node.target)]
    if isinstance(node, ast.withitem) and node.optional_vars is not None:
        return [(name, None) for name in target_names(node.optional_vars)]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [(node.name, None)]
    return []
