"""Messages for a channel layer: their type and keys, where they are literal, and the calls that are given them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..file_facts import RawMessage
from ..of_tasks.call_arguments import CALLS_LIKE_THE_TASK
from ..scopes import Scopes
from ..source_file import SourceFile, text_of
from ..surroundings import last_name, surroundings
from ..templates import Template, template

_WRAPPED = frozenset({"async_to_sync", "sync_to_async", "database_sync_to_async"})


def messages(scopes: Scopes) -> Iterator[RawMessage]:
    """Every call of something that has a name, with a literal message among its arguments."""
    file = scopes.file
    for call in file.of_kind(ast.Call):
        given: dict[int | str, ast.expr] = dict(enumerate(call.args))
        given.update({one.arg: one.value for one in call.keywords if one.arg is not None})
        for position, node in given.items():
            if not isinstance(node, ast.Dict | ast.Name) or any(isinstance(one, ast.Starred) for one in call.args):
                continue
            message_type, keys, _ = message_of(scopes, node)
            dotted = scopes.dotted(_callee(call.func)) if message_type is not None else None
            if message_type is None or dotted is None:
                continue
            owner = file.class_of(call)
            yield RawMessage(
                place=file.place(call),
                dotted=dotted,
                position=position,
                message_type=message_type,
                message_keys=keys,
                arguments={name: template(scopes, value) for name, value in given.items()},
                class_name=file.qualname(owner) if owner is not None else "",
                around=surroundings(scopes, call),
            )


def _callee(function: ast.expr) -> ast.expr:
    """What is called in the end: ``tell`` of ``async_to_sync(tell)(…)`` and of ``tell.delay(…)``."""
    if isinstance(function, ast.Call) and last_name(function.func) in _WRAPPED and len(function.args) == 1:
        return function.args[0]
    return function.value if isinstance(function, ast.Attribute) and function.attr in CALLS_LIKE_THE_TASK else function


def message_types(file: SourceFile) -> Iterator[str]:
    """The literal ``type`` of every dictionary: a function that sends whatever it is given may be given any of them."""
    for node in file.of_kind(ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if text_of(key) == "type" and (name := text_of(value)) is not None:
                yield name


def message_of(scopes: Scopes, node: ast.expr | None) -> tuple[Template | None, tuple[str, ...] | None, str | None]:
    """Its type, its keys, and the function that makes it, as far as the code says them."""
    while isinstance(node, ast.Name) and (value := scopes.value(node)) is not None:
        node = value
    if isinstance(node, ast.Await):
        node = node.value
    if isinstance(node, ast.Name) and node.id in scopes.assigned and scopes.file.function_of(node) is not None:
        node = scopes.assigned[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        given = {one.arg: one.value for one in node.keywords}
        keys = tuple(name for name in given if name is not None)
        return _type(scopes, given.get("type")), keys if len(keys) == len(given) else None, None
    if isinstance(node, ast.Dict):
        return _of_dict(scopes, node)
    if isinstance(node, ast.Call):
        return None, None, scopes.dotted(node.func)
    return None, None, None


def _of_dict(scopes: Scopes, node: ast.Dict) -> tuple[Template | None, tuple[str, ...] | None, str | None]:
    names = [text_of(key) for key in node.keys]
    found: ast.expr | None = None
    spread_later = False
    for key, name, value in zip(node.keys, names, node.values, strict=True):
        if name == "type":
            found, spread_later = value, False
        elif key is None:
            spread_later = True  # {"type": …, **event}: what comes later wins
    known = tuple(name for name in names if name is not None)
    keys = known if len(known) == len(names) else None
    return None if spread_later else _type(scopes, found), keys, None


def _type(scopes: Scopes, node: ast.expr | None) -> Template | None:
    return template(scopes, node) if node is not None else None


def returned_message(scopes: Scopes, node: ast.expr | None) -> tuple[Template | None, tuple[str, ...] | None]:
    """The type and keys of a message that a function returns."""
    message_type, keys, _ = message_of(scopes, node)
    return message_type, keys
