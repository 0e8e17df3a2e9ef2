"""Calls of a channel layer: who joins or leaves a group, and what is sent to which."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..file_facts import RawGroupUse
from ..scopes import Scopes
from ..source_file import SourceFile, text_of, written
from ..surroundings import last_name, surroundings
from ..templates import Template, template

ACTIONS = {"group_add": "add", "group_discard": "discard", "group_send": "send"}
_THROUGH = frozenset({"async_to_sync", "sync_to_async"})


def group_uses(scopes: Scopes) -> Iterator[RawGroupUse]:
    """In the order of the source."""
    yield from _appended(scopes)
    for attribute in scopes.file.of_kind(ast.Attribute):
        action = ACTIONS.get(attribute.attr)
        if action is None and attribute.attr == "send" and _is_layer(scopes, attribute.value):
            action = "channel_send"
        if action is not None:
            yield from _use(scopes, attribute, action)


def _appended(scopes: Scopes) -> Iterator[RawGroupUse]:
    """``self.groups.append(…)``: Channels joins these groups when the socket opens."""
    for call in scopes.file.of_kind(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "append" and len(call.args) == 1:
            receiver, owner = call.func.value, scopes.file.class_of(call)
            is_own = isinstance(receiver, ast.Attribute) and isinstance(receiver.value, ast.Name)
            if owner is not None and is_own and written(receiver) == "self.groups":
                yield RawGroupUse(
                    place=scopes.file.place(call),
                    action="add",
                    group=template(scopes, call.args[0]),
                    group_source=written(call.args[0]),
                    class_name=scopes.file.qualname(owner),
                    message_type=None,
                    message_ref=None,
                    message_keys=None,
                    through="groups",
                    around=surroundings(scopes, call),
                )


def message_types(file: SourceFile) -> Iterator[str]:
    """The literal ``type`` of every dictionary: a function that sends whatever it is given may be given any of them."""
    for node in file.of_kind(ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if text_of(key) == "type" and (name := text_of(value)) is not None:
                yield name


def _is_layer(scopes: Scopes, node: ast.expr) -> bool:
    if last_name(node) == "channel_layer":
        return True
    if isinstance(node, ast.Name):
        value = scopes.value(node) or scopes.assigned.get(node.id)
        return isinstance(value, ast.Call | ast.Attribute) and _is_layer(scopes, value)
    return isinstance(node, ast.Call) and last_name(node.func) == "get_channel_layer"


def _use(scopes: Scopes, attribute: ast.Attribute, action: str) -> Iterator[RawGroupUse]:
    """``layer.group_send(…)`` or ``async_to_sync(layer.group_send)(…)``."""
    file = scopes.file
    wrapper = file.parent(attribute)
    through = ""
    method: ast.expr = attribute
    if isinstance(wrapper, ast.Call) and wrapper.func is not attribute and last_name(wrapper.func) in _THROUGH:
        through, method = last_name(wrapper.func), wrapper
    call = _call_of(scopes, method)
    if call is None:
        return
    args = call.args[1:] if last_name(call.func) == "partial" else call.args
    given = {one.arg: one.value for one in call.keywords}
    names = ("channel" if action == "channel_send" else "group", "message")
    group = args[0] if args else given.get(names[0])
    message = args[1] if len(args) > 1 else given.get(names[1])
    if group is None or isinstance(group, ast.Starred):
        return
    owner = file.class_of(call)
    message_type, keys, ref = _message(scopes, message) if action.endswith("send") else (None, None, None)
    yield RawGroupUse(
        place=file.place(call),
        action=action,
        group=template(scopes, group),
        group_source=written(group),
        class_name=file.qualname(owner) if owner is not None else "",
        message_type=message_type,
        message_ref=ref,
        message_keys=keys,
        through=through,
        around=surroundings(scopes, call),
    )


def _call_of(scopes: Scopes, method: ast.expr) -> ast.Call | None:
    """The call of a method: at once, by ``partial``, or by the variable it was kept in."""
    file = scopes.file
    above = file.parent(method)
    if isinstance(above, ast.Call):
        is_partial = last_name(above.func) == "partial" and above.args[:1] == [method]
        return above if above.func is method or is_partial else None
    if not isinstance(above, ast.Assign) or not isinstance(above.targets[0], ast.Name):
        return None
    name = above.targets[0].id
    calls = [
        call
        for call in file.of_kind(ast.Call)
        if isinstance(call.func, ast.Name) and call.func.id == name and scopes.value(call.func) is method
    ]
    return calls[0] if len(calls) == 1 else None


def _message(scopes: Scopes, node: ast.expr | None) -> tuple[Template | None, tuple[str, ...] | None, str | None]:
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
    message_type, keys, _ = _message(scopes, node)
    return message_type, keys
