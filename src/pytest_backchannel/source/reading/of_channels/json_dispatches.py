"""Where a class decides by a value of the JSON that a client has sent."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..file_facts import RawBranch
from ..scopes import Scopes
from ..source_file import FUNCTIONS, Function
from .json_branches import Finder, is_decoded


@dataclass
class Known:
    """The variables of one method: those that hold the client's message, and those that hold a value of it."""

    messages: set[str] = field(default_factory=set[str])
    keys: dict[str, str] = field(default_factory=dict[str, str])


def branches(scopes: Scopes) -> dict[str, tuple[RawBranch, ...]]:
    """By the qualified name of the class; which classes are consumers is known when all files are read."""
    file = scopes.file
    found: dict[str, tuple[RawBranch, ...]] = {}
    for owner in file.of_kind(ast.ClassDef):
        methods = {one.name: one for one in owner.body if isinstance(one, FUNCTIONS)}
        if "receive_json" in methods or "receive" in methods:
            found[file.qualname(owner)] = tuple(_of_class(scopes, owner, methods))
    return {name: some for name, some in found.items() if some}


def _of_class(scopes: Scopes, owner: ast.ClassDef, methods: dict[str, Function]) -> Iterator[RawBranch]:
    known = _entries(scopes, methods)
    for _ in range(4):  # a message is handed on from method to method, but hardly more often
        if not _handed_on(scopes, methods, known):
            break
    for name, function in methods.items():
        if name in known:
            yield from Finder(scopes, owner, function, known[name].messages, known[name].keys).branches()


def _entries(scopes: Scopes, methods: dict[str, Function]) -> dict[str, Known]:
    """``receive_json(self, content)``, and in ``receive`` what ``json.loads`` gives."""
    known: dict[str, Known] = {}
    if (function := methods.get("receive_json")) is not None and len(function.args.args) > 1:
        known["receive_json"] = Known(messages={function.args.args[1].arg})
    if (function := methods.get("receive")) is not None:
        scope = scopes.of(function)
        decoded = {
            name
            for name, assigned in scope.assigned.items()
            if any(value is not None and is_decoded(value) for _, value in assigned)
        }
        known["receive"] = Known(messages=decoded)
    return known


def _handed_on(scopes: Scopes, methods: dict[str, Function], known: dict[str, Known]) -> bool:
    """Follow ``self.method(content, action)`` into the method; says whether that told anything new."""
    told = False
    for name in list(known):
        finder = Finder(scopes, None, methods[name], known[name].messages, known[name].keys)
        for call in finder.own_calls():
            target = methods.get(call.func.attr) if isinstance(call.func, ast.Attribute) else None
            if target is None:
                continue
            for parameter, given in _bound(target, call):
                entry = known.setdefault(target.name, Known())
                if finder.is_message(given) and parameter not in entry.messages:
                    entry.messages.add(parameter)
                    told = True
                elif (key := finder.field_of(given)) is not None and parameter not in entry.keys:
                    entry.keys[parameter] = key
                    told = True
    return told


def _bound(function: Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    names = [one.arg for one in function.args.args]
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)
    yield from zip(names if static else names[1:], call.args, strict=False)
    yield from ((one.arg, one.value) for one in call.keywords if one.arg is not None)
