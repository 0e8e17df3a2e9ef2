"""BC5xx: consumers, when they open and close, and their groups."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ....source import ConsumerDef, GroupUse
from ....source.reading.source_file import Function, SourceFile, literal
from ...checked_file import is_test
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule


def _calls_of(file: SourceFile, function: Function) -> list[tuple[str, ast.Call]]:
    """The calls of ``self.x(…)``, ``super().x(…)`` and ``self.channel_layer.x(…)`` in a function, in their order."""
    found: list[tuple[str, ast.Call]] = []
    for call in file.of_kind(ast.Call):
        if file.function_of(call) is not function:
            continue
        source = ast.unparse(call.func)
        if source.startswith(("self.", "super().", "async_to_sync(self.")):
            found.append((source.rstrip(")").rpartition(".")[2], call))
    return sorted(found, key=lambda one: (one[1].lineno, one[1].col_offset))


def _is_plain(file: SourceFile, call: ast.Call, function: Function) -> bool:
    """Whether a statement of the function's own block, and no branch, makes the call."""
    node: ast.AST = call
    while (above := file.parent(node)) is not None and above is not function:
        node = above
    return above is function and isinstance(node, ast.Expr | ast.Assign | ast.Return)


class AcceptBeforeJoin(TreeRule):
    """BC501."""

    code = "BC501"
    name = "accept-before-join"
    summary = "A consumer accepts the socket before it joins its group."
    why = "What is sent to the group between the two is lost, and the client, which is connected, never hears of it."
    fix = "`group_add` first, then `accept()`."
    path = "chat/consumers.py"
    page = "reference/slugs.md"
    wrong = """
from channels.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.channel_layer.group_add("chat", self.channel_name)

    async def disconnect(self, code):
        await self.channel_layer.group_discard("chat", self.channel_name)
"""
    right = wrong.replace("        await self.accept()\n", "", 1).replace(
        'group_add("chat", self.channel_name)', 'group_add("chat", self.channel_name)\n        await self.accept()'
    )

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where both stand in ``connect``, in no branch, and nothing after the join sends what was missed."""
        for consumer, file, methods in tree.consumers():
            connect = methods.get("connect")
            if connect is None or consumer.protocol != "websocket":
                continue
            calls = _calls_of(file.source, connect)
            names = [name for name, _ in calls]
            if "accept" not in names or "group_add" not in names:
                continue
            accept, join = names.index("accept"), names.index("group_add")
            both = calls[accept][1], calls[join][1]
            after = set(names[join + 1 :]) - {"group_add"}
            if accept < join and not after and all(_is_plain(file.source, one, connect) for one in both):
                yield (
                    file.source.place(calls[accept][1]),
                    f"{consumer.name} accepts before it joins its group: what is sent meanwhile is lost",
                )


class NeverLeaves(TreeRule):
    """BC502."""

    code = "BC502"
    name = "group-never-left"
    summary = "A consumer joins a group, and never leaves it."
    why = (
        "Its channel stays a member after the socket has closed (for a day, with channels-redis): each group send "
        "writes for nobody, and the capacity of dead channels fills up."
    )
    fix = "`group_discard` in `disconnect()`, or `groups = [...]`, which Channels leaves by itself."
    path = "chat/consumers.py"
    page = "reference/slugs.md"
    wrong = """
from channels.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("chat", self.channel_name)
        await self.accept()
"""
    right = (
        wrong
        + """
    async def disconnect(self, code):
        await self.channel_layer.group_discard("chat", self.channel_name)
"""
    )

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where neither the class, nor one of its relatives, nor code outside of consumers leaves a group."""
        leaves = [use for use in tree.index.group_uses if use.action == "discard"]
        if any(not use.consumer and not is_test(use.place.path) for use in leaves):
            return
        leaving = {use.consumer for use in leaves}
        told: set[str] = set()
        for use in _joins(tree):
            if use.consumer not in told and not (_relatives(tree, use.consumer) & leaving):
                told.add(use.consumer)
                yield use.place, f"{use.consumer} joins {use.group_source}, and never leaves it"


def _joins(tree: CheckedTree) -> Iterator[GroupUse]:
    for use in tree.index.group_uses:
        consumer = tree.index.consumers.get(use.consumer)
        by_hand = use.action == "add" and use.through != "groups" and not use.wrapper
        is_socket = consumer is not None and consumer.protocol == "websocket"
        if by_hand and is_socket and not is_test(use.place.path):
            yield use


def _relatives(tree: CheckedTree, name: str) -> set[str]:
    """A consumer, those from which it derives, and those that derive from it."""
    found = {name}
    while True:
        more = {base for one in found for base in _bases(tree.index.consumers.get(one))}
        more |= {one.name for one in tree.index.consumers.values() if set(one.bases) & found}
        if more <= found:
            return found
        found |= more


def _bases(consumer: ConsumerDef | None) -> tuple[str, ...]:
    return consumer.bases if consumer is not None else ()


class CodeNobodySees(TreeRule):
    """BC505."""

    code = "BC505"
    name = "close-code-before-accept"
    summary = "A consumer closes with a code before it has accepted."
    why = (
        "The server answers the handshake with HTTP 403: no client ever sees the code. `WebsocketCommunicator` shows "
        "it, so the test of it is green."
    )
    fix = "`accept()` first, and then `close(code=4003)`; or `close()` without a code."
    path = "chat/consumers.py"
    page = "explanation/websocket-contract.md"
    wrong = """
from channels.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    async def connect(self):
        if self.scope["user"].is_anonymous:
            await self.close(code=4003)
            return
        await self.accept()
"""
    right = wrong.replace("code=4003", "")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of ``connect``, where nothing that it has called before can have accepted."""
        for consumer, file, methods in tree.consumers():
            connect = methods.get("connect")
            if connect is None or consumer.protocol != "websocket" or "websocket_connect" in methods:
                continue
            for name, call in _calls_of(file.source, connect):
                if name == "accept" or name == "connect" or _accepts(consumer, name):
                    break
                code = _code(call) if name == "close" else None
                if code is not None:
                    yield (
                        file.source.place(call),
                        f"no client sees the code {code}: before accept() a close is HTTP 403",
                    )


def _accepts(consumer: ConsumerDef, name: str, depth: int = 4) -> bool:
    """Whether a method of the consumer may accept, or is not known."""
    method = consumer.methods.get(name)
    if method is None or depth == 0:
        return depth == 0
    return any(called == "accept" or _accepts(consumer, called, depth - 1) for called, _ in method.calls)


def _code(call: ast.Call) -> int | None:
    given = call.args[0] if call.args else next((one.value for one in call.keywords if one.arg == "code"), None)
    value = literal(given)[1]
    return value if isinstance(value, int) and value >= 3000 else None
