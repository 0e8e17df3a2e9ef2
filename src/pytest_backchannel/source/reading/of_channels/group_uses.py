"""Calls of a channel layer: who joins or leaves a group, and what is sent to which."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..file_facts import RawGroupUse
from ..scopes import Scopes
from ..source_file import written
from ..surroundings import last_name, surroundings
from ..templates import template
from .layer_messages import message_of

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
                    group_parameter=None,
                    message_parameter=None,
                    through="groups",
                    around=surroundings(scopes, call),
                )


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
    message_type, keys, ref = message_of(scopes, message) if action.endswith("send") else (None, None, None)
    yield RawGroupUse(
        place=file.place(call),
        action=action,
        group=template(scopes, group),
        group_source=written(group),
        class_name=file.qualname(owner) if owner is not None else "",
        message_type=message_type,
        message_ref=ref,
        message_keys=keys,
        group_parameter=_parameter(scopes, group),
        message_parameter=_parameter(scopes, message),
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


def _parameter(scopes: Scopes, node: ast.expr | None) -> str | None:
    """The name of the function's parameter that an argument is, unchanged."""
    function = scopes.file.function_of(node) if isinstance(node, ast.Name) else None
    if function is None or not isinstance(node, ast.Name):
        return None
    scope = scopes.of(function)
    return node.id if node.id in scope.parameters and node.id not in scope.assigned else None
