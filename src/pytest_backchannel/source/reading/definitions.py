"""The functions, classes and module-level values of a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..task_facts import Parameter
from .file_facts import ClassFacts, FunctionFacts, Value
from .of_channels.layer_messages import returned_message
from .scopes import Scopes
from .source_file import FUNCTIONS, Function, SourceFile, literal, text_of, written
from .templates import Template, is_none, returned, template

SIGNATURES = frozenset({"s", "si", "signature", "subtask"})
_WORKFLOWS = frozenset({"chain", "group", "chord"})


def functions(scopes: Scopes) -> dict[str, FunctionFacts]:
    """Every function and method, by its qualified name."""
    file = scopes.file
    returns: dict[Function, list[ast.Return]] = {}
    for statement in file.of_kind(ast.Return):
        if (function := file.function_of(statement)) is not None:
            returns.setdefault(function, []).append(statement)
    retries = _retries(scopes)
    uses = _uses_of_self(scopes)
    messages = {function: _returned_message(scopes, some) for function, some in returns.items()}
    return {
        file.qualname(function): FunctionFacts(
            place=file.place(function),
            is_async=isinstance(function, ast.AsyncFunctionDef),
            parameters=tuple(_parameters(function.args)),
            decorators=tuple(_decorators(scopes, function)),
            returned=returned(scopes, returns.get(function, [])),
            returned_calls=tuple(_returned_calls(scopes, returns.get(function, []))),
            message_type=messages.get(function, (None, None))[0],
            message_keys=messages.get(function, (None, None))[1],
            builds_signature=any(builds_signature(scopes, one.value) for one in returns.get(function, [])),
            calls_retry=tuple(retries.get(function, ([], []))[0]),
            raises_retry=tuple(retries.get(function, ([], []))[1]),
            self_calls=tuple(uses.get(function, _OfSelf()).calls),
            self_names=frozenset(uses.get(function, _OfSelf()).names),
            scope_keys=tuple(dict.fromkeys(uses.get(function, _OfSelf()).scope_keys)),
        )
        for function in file.functions()
    }


def _parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    plain = [*arguments.posonlyargs, *arguments.args]
    missing = len(plain) - len(arguments.defaults)
    for number, one in enumerate(plain):
        kind = "positional_only" if number < len(arguments.posonlyargs) else "positional"
        yield _parameter(one, kind, arguments.defaults[number - missing] if number >= missing else None)
    if arguments.vararg:
        yield _parameter(arguments.vararg, "var_positional", None)
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(one, "keyword_only", default)
    if arguments.kwarg:
        yield _parameter(arguments.kwarg, "var_keyword", None)


def _parameter(argument: ast.arg, kind: str, default: ast.expr | None) -> Parameter:
    return Parameter(
        name=argument.arg,
        kind=kind,
        default=written(default) if default is not None else None,
        annotation=written(argument.annotation) if argument.annotation is not None else "",
    )


def _decorators(scopes: Scopes, function: Function) -> Iterator[str]:
    for decorator in function.decorator_list:
        yield scopes.dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or written(decorator)


def _returned_calls(scopes: Scopes, returns: list[ast.Return]) -> Iterator[str]:
    for statement in returns:
        if isinstance(statement.value, ast.Call) and (dotted := scopes.dotted(statement.value.func)):
            yield dotted


def _returned_message(scopes: Scopes, returns: list[ast.Return]) -> tuple[Template | None, tuple[str, ...] | None]:
    found = {returned_message(scopes, one.value) for one in returns if one.value is not None}
    return found.pop() if len(found) == 1 else (None, None)


def builds_signature(scopes: Scopes, node: ast.expr | None) -> bool:
    """Whether it is a signature or a workflow, by what is written: ``a.s(1)``, ``a.s() | b.s()``, ``chain(…)``."""
    if isinstance(node, ast.Name):
        value = scopes.value(node)
        return value is not None and builds_signature(scopes, value)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr) and any(builds_signature(scopes, x) for x in (node.left, node.right))
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr in SIGNATURES:
        return True
    return workflow_name(scopes, node) is not None


def workflow_name(scopes: Scopes, call: ast.Call) -> str | None:
    """``chain``, ``group`` or ``chord`` where a call is one of Celery's."""
    dotted = scopes.dotted(call.func) or ""
    root, _, name = dotted.rpartition(".")
    return name if name in _WORKFLOWS and root.partition(".")[0] == "celery" else None


def _retries(scopes: Scopes) -> dict[Function, tuple[list[int], list[int]]]:
    """The lines on which each function calls a task's ``retry``, and on which it raises ``Retry``."""
    file = scopes.file
    found: dict[Function, tuple[list[int], list[int]]] = {}
    for call in file.of_kind(ast.Call):
        function = file.function_of(call)
        if function is not None and _is_retry(scopes, function, call):
            found.setdefault(function, ([], []))[0].append(call.lineno)
    for statement in file.of_kind(ast.Raise):
        function = file.function_of(statement)
        if function is None or statement.exc is None:
            continue
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        is_retry = isinstance(statement.exc, ast.Call) and _is_retry(scopes, function, statement.exc)
        if is_retry or scopes.dotted(raised) in ("celery.exceptions.Retry", "celery.exceptions.RetryTaskError"):
            found.setdefault(function, ([], []))[1].append(statement.lineno)
    return found


def _is_retry(scopes: Scopes, function: Function, call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "retry":
        return False
    receiver = call.func.value
    first = [*function.args.posonlyargs, *function.args.args][:1]
    if isinstance(receiver, ast.Name) and first and receiver.id == first[0].arg:
        return isinstance(scopes.file.parent(function), ast.ClassDef) or is_bound(function)
    return scopes.dotted(receiver) in ("celery.current_task", f"{scopes.file.dotted_name(function)}")


def is_bound(function: Function) -> bool:
    """Whether a decorator says ``bind=True``."""
    return any(
        keyword.arg == "bind" and literal(keyword.value) == (True, True)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
    )


@dataclass
class _OfSelf:
    """What a method does with ``self``."""

    calls: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    names: set[str] = field(default_factory=set[str])
    scope_keys: list[str] = field(default_factory=list[str])


def _uses_of_self(scopes: Scopes) -> dict[Function, _OfSelf]:
    file = scopes.file
    found: dict[Function, _OfSelf] = {}
    for attribute in file.of_kind(ast.Attribute):
        function = file.function_of(attribute)
        if function is None or not isinstance(attribute.value, ast.Name) or attribute.value.id != "self":
            continue
        uses = found.setdefault(function, _OfSelf())
        uses.names.add(attribute.attr)
        parent = file.parent(attribute)
        if isinstance(parent, ast.Call) and parent.func is attribute:
            uses.calls.append((attribute.attr, attribute.lineno))
        if attribute.attr == "scope" and (key := _key_of(file, parent)) is not None:
            uses.scope_keys.append(key)
    return found


def _key_of(file: SourceFile, node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Subscript):
        return text_of(node.slice)
    if isinstance(node, ast.Attribute) and node.attr == "get":
        call = file.parent(node)
        return text_of(call.args[0]) if isinstance(call, ast.Call) and call.args else None
    return None


def classes(scopes: Scopes) -> dict[str, ClassFacts]:
    """Every class, by its qualified name."""
    file = scopes.file
    return {file.qualname(one): _class(scopes, one) for one in file.of_kind(ast.ClassDef)}


def _class(scopes: Scopes, node: ast.ClassDef) -> ClassFacts:
    options: dict[str, object] = {}
    sources: dict[str, str] = {}
    groups: tuple[Template, ...] = ()
    for name, value in _assigned_in(node):
        options[name], sources[name] = literal(value)[1], written(value)
        if name == "groups" and isinstance(value, ast.List | ast.Tuple):
            groups = tuple(template(scopes, one) for one in value.elts)
    return ClassFacts(
        place=scopes.file.place(node),
        bases=tuple(scopes.dotted(base) or written(base) for base in map(_without_parameters, node.bases)),
        methods=tuple(one.name for one in node.body if isinstance(one, FUNCTIONS)),
        options=options,
        option_sources=sources,
        groups=groups,
    )


def _without_parameters(base: ast.expr) -> ast.expr:
    return base.value if isinstance(base, ast.Subscript) else base


def _assigned_in(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target.id, statement.value


def values(scopes: Scopes) -> dict[str, Value]:
    """What names of the module, of its classes, and of their instances (``self.x = …``) are assigned, if one thing."""
    found = {name: value_of(scopes, node) for name, node in scopes.assigned.items()}
    file = scopes.file
    for one in file.of_kind(ast.ClassDef):
        for name, node in _assigned_in(one):
            found[f"{file.qualname(one)}.{name}"] = value_of(scopes, node)
    for name, nodes in _attributes(scopes).items():
        given = {value_of(scopes, node) for node in nodes if not is_none(node)}
        found[name] = given.pop() if len(given) == 1 else Value()
    return found


def _attributes(scopes: Scopes) -> dict[str, list[ast.expr]]:
    file = scopes.file
    found: dict[str, list[ast.expr]] = {}
    for statement in file.of_kind(ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                owner = file.class_of(statement)
                if owner is not None:
                    found.setdefault(f"{file.qualname(owner)}.{target.attr}", []).append(statement.value)
    return found


def value_of(scopes: Scopes, node: ast.expr) -> Value:
    """What is known of an assigned value."""
    if isinstance(node, ast.Call):
        first = scopes.dotted(node.args[0]) if node.args else None
        return Value(call=scopes.dotted(node.func), first_argument=first, template=template(scopes, node))
    dotted = scopes.dotted(node) if isinstance(node, ast.Name | ast.Attribute) else None
    return Value(dotted=dotted, template=template(scopes, node))
