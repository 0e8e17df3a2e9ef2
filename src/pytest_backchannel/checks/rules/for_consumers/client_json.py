"""BC5xx: what a client sends is what anybody may send."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ....source.reading.scopes import parameter_names
from ....source.reading.source_file import Function, text_of
from ...checked_file import CheckedFile
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule

_CHECKS = re.compile(r"(?i)serializer|schema|valid|isinstance|pydantic|TypeAdapter|model_validate|Form\(|\bin\b")


class JsonOnTrust(TreeRule):
    """BC511."""

    code = "BC511"
    name = "json-on-trust"
    summary = "A consumer takes a key out of a client's JSON without a look whether it is there."
    why = (
        "A client that sends `{}` or `[1]` ends its consumer with `KeyError` or `TypeError`: the socket closes with "
        "1011, what it held in groups stays, and the log fills."
    )
    fix = "`content.get(…)` with an answer for what is missing, a serializer, or an `except` around it."
    path = "chat/consumers.py"
    page = "how-to/odd-values.md"
    wrong = """
from channels.generic.websocket import AsyncJsonWebsocketConsumer


class Chat(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json({"said": content["text"]})
"""
    right = """
from channels.generic.websocket import AsyncJsonWebsocketConsumer


class Chat(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        if not isinstance(content, dict) or "text" not in content:
            await self.send_json({"error": "no text"})
            return
        await self.send_json({"said": content["text"]})
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of ``receive_json`` and ``receive``, where nothing around or before it checks or catches."""
        for consumer, file, methods in tree.consumers():
            for name in ("receive_json", "receive"):
                function = methods.get(name)
                if function is None or consumer.protocol != "websocket" or _checks(file, function):
                    continue
                for node in _trusted(file, function)[:1]:
                    yield (
                        file.source.place(node),
                        f"a client that sends no {text_of(node.slice)!r} ends {consumer.name} with KeyError",
                    )


def _checks(file: CheckedFile, function: Function) -> bool:
    """Whether the method looks at what it was given in any way that the code shows, or lets another one do it."""
    given = {*parameter_names(function.args)[1:2], *_decoded(file, function)}
    for call in file.calls():
        handed = {one.id for one in call.args if isinstance(one, ast.Name)} & given
        if handed and file.source.function_of(call) is function and file.scopes.dotted(call.func) != "json.loads":
            return True
    for kind in (ast.Try, ast.Compare, ast.Call):
        for node in file.source.of_kind(kind):
            if file.source.function_of(node) is function and _CHECKS.search(ast.unparse(node).split("\n")[0]):
                return True
    return any(file.source.function_of(one) is function for one in file.source.of_kind(ast.Try))


def _decoded(file: CheckedFile, function: Function) -> Iterator[str]:
    """The variables that ``json.loads`` gives its value to."""
    for target, value in file.source.assignments():
        is_loads = isinstance(value, ast.Call) and file.scopes.dotted(value.func) == "json.loads"
        if is_loads and isinstance(target, ast.Name) and file.source.function_of(target) is function:
            yield target.id


def _trusted(file: CheckedFile, function: Function) -> list[ast.Subscript]:
    names = parameter_names(function.args)[1:2]
    found = []
    for node in file.source.of_kind(ast.Subscript):
        if file.source.function_of(node) is not function or not isinstance(node.ctx, ast.Load):
            continue
        owner = node.value
        if (
            isinstance(owner, ast.Name)
            and text_of(node.slice) is not None
            and _is_clients(file, owner, names, function)
        ):
            found.append(node)
    return sorted(found, key=lambda one: (one.lineno, one.col_offset))


def _is_clients(file: CheckedFile, node: ast.Name, parameters: list[str], function: Function) -> bool:
    """Whether a name is the decoded JSON: the parameter of ``receive_json``, or ``json.loads(text_data)``."""
    value = file.scopes.value(node)
    if value is None:
        assigned = node.id in file.scopes.of(function).assigned
        return function.name == "receive_json" and node.id in parameters and not assigned
    return (
        isinstance(value, ast.Call)
        and file.scopes.dotted(value.func) == "json.loads"
        and len(value.args) == 1
        and isinstance(value.args[0], ast.Name)
        and value.args[0].id in (*parameters, "text_data")
    )
