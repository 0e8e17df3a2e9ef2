"""BC5xx: what a coroutine may not do, since it holds up the event loop or can't work there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from ....source.reading.surroundings import COMPREHENSIONS, last_name
from ...checked_file import CheckedFile
from ...diagnostic import Diagnostic
from ...fixing.text_edits import TextEdit, appended, inserted
from ...rule import FileRule, Spot
from ..model_values import ASKS_THE_DATABASE, manager_chain

_LAZY = frozenset(
    {"all", "filter", "exclude", "order_by", "select_related", "prefetch_related", "values", "values_list"}
)


def _is_awaited(file: CheckedFile, call: ast.Call) -> bool:
    return isinstance(file.source.parent(call), ast.Await)


class SyncOrmInCoroutine(FileRule):
    """BC503."""

    code = "BC503"
    name = "sync-orm-in-coroutine"
    severity: ClassVar = "error"
    summary = "A coroutine asks the database by Django's synchronous API."
    why = "Django raises `SynchronousOnlyOperation`."
    fix = "The async twin (`aget`, `acreate`, `async for`), or `database_sync_to_async`."
    path = "chat/consumers.py"
    page = "how-to/test-consumers.md"
    mends = True
    worth: ClassVar = ((b"async def",), (b".objects",))
    wrong = """
from channels.generic.websocket import AsyncWebsocketConsumer
from .models import Room


class Chat(AsyncWebsocketConsumer):
    async def connect(self):
        self.room = Room.objects.get(name="lobby")
        await self.accept()
"""
    right = wrong.replace("Room.objects.get(", "await Room.objects.aget(")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of ``Model.objects``, where the coroutine itself runs the query."""
        if b"DJANGO_ALLOW_ASYNC_UNSAFE" in file.text:
            return
        for call in file.calls():
            chain = manager_chain(call)
            if not chain or not file.runs_in_coroutine(call) or _is_awaited(file, call):
                continue
            parent = file.source.parent(call)
            if chain[-1] in ASKS_THE_DATABASE and set(chain[:-1]) <= _LAZY | {"distinct", "using", "annotate", "only"}:
                yield call, f"objects.{chain[-1]}() in a coroutine: Django raises SynchronousOnlyOperation"
            elif set(chain) <= _LAZY and isinstance(parent, ast.For) and parent.iter is call:
                yield call, "a queryset is iterated in a coroutine: Django raises SynchronousOnlyOperation"

    def edits(self, file: CheckedFile, found: Diagnostic) -> list[TextEdit]:
        """The async twin of the method, awaited; it raises as it stands, so that nothing can depend on it."""
        call = _call_at(file, found)
        parent = file.source.parent(call) if call is not None else None
        if call is None or not isinstance(call.func, ast.Attribute) or _is_within_another(file, call):
            return []
        if isinstance(parent, ast.For) and parent.iter is call:
            return [inserted(parent, "async ")]
        end = call.func.end_lineno or call.func.lineno, call.func.end_col_offset or 0
        start = end[0], end[1] - len(call.func.attr.encode())
        return [*_awaited(file, call), TextEdit(start=start, end=end, text=f"a{call.func.attr}")]


def _call_at(file: CheckedFile, found: Diagnostic) -> ast.Call | None:
    """The outermost call at a place."""
    same = [one for one in file.calls() if (one.lineno, one.col_offset + 1) == (found.line, found.column)]
    return next((one for one in same if one.end_lineno == found.end_line), None)


def _is_within_another(file: CheckedFile, node: ast.AST) -> bool:
    """Whether ``await`` would mean something else there, or its place is not known (an f-string before 3.12)."""
    return any(isinstance(above, (*COMPREHENSIONS, ast.JoinedStr)) for above, _ in file.source.ancestors(node))


def _awaited(file: CheckedFile, call: ast.Call) -> list[TextEdit]:
    """``await`` before a call, in brackets where something follows on it."""
    plain = isinstance(file.source.parent(call), ast.Expr | ast.Assign | ast.AnnAssign | ast.Return)
    return [inserted(call, "await ")] if plain else [inserted(call, "(await "), appended(call, ")")]


_BLOCKING = {
    "time.sleep": "await asyncio.sleep(…)",
    "urllib.request.urlopen": "an async client",
    "smtplib.SMTP": "sync_to_async",
    "smtplib.SMTP_SSL": "sync_to_async",
    "subprocess.run": "asyncio.create_subprocess_exec",
    "subprocess.call": "asyncio.create_subprocess_exec",
    "subprocess.check_call": "asyncio.create_subprocess_exec",
    "subprocess.check_output": "asyncio.create_subprocess_exec",
    **{f"requests.{name}": "an async client" for name in ("get", "post", "put", "patch", "delete", "head", "request")},
}


class BlockingCallInCoroutine(FileRule):
    """BC504."""

    code = "BC504"
    name = "blocking-call-in-coroutine"
    severity: ClassVar = "error"
    summary = "A coroutine sleeps, or waits for a server or a process, without `await`."
    why = "The event loop stands still meanwhile: every other connection of this process waits, too."
    fix = "An async client, `asyncio.sleep`, or `sync_to_async`."
    path = "chat/consumers.py"
    page = "how-to/find-blocking-calls.md"
    worth: ClassVar = ((b"async def",), (b"sleep", b"requests", b"smtplib", b"subprocess", b"urlopen"))
    wrong = """
import time
from channels.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        time.sleep(1)
        await self.send(text_data)
"""
    right = wrong.replace("import time", "import asyncio").replace("time.sleep", "await asyncio.sleep")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of functions that are known by their imports."""
        for call in file.calls():
            if last_name(call.func) not in _LAST or not file.runs_in_coroutine(call):
                continue
            dotted = file.scopes.dotted(call.func) or ""
            if dotted in _BLOCKING and not _is_awaited(file, call):
                yield call, f"{dotted}() in a coroutine holds up the event loop: use {_BLOCKING[dotted]}"


_LAST = {name.rpartition(".")[2] for name in _BLOCKING}


class AsyncToSyncInCoroutine(FileRule):
    """BC508."""

    code = "BC508"
    name = "async-to-sync-in-coroutine"
    severity: ClassVar = "error"
    summary = "A coroutine calls something through `async_to_sync`."
    why = "It raises `RuntimeError`: the thread has a running event loop."
    fix = "`await` it."
    path = "chat/consumers.py"
    page = "how-to/test-consumers.md"
    mends = True
    worth: ClassVar = ((b"async def",), (b"async_to_sync",))
    wrong = """
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def receive(self, text_data=None, bytes_data=None):
        async_to_sync(self.channel_layer.group_send)("chat", {"type": "chat.message"})

    async def chat_message(self, event):
        await self.send("news")
"""
    right = wrong.replace(
        "async_to_sync(self.channel_layer.group_send)(", "await self.channel_layer.group_send("
    ).replace("from asgiref.sync import async_to_sync\n", "")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Where the coroutine itself makes the call."""
        for call in file.calls():
            made = call.func
            if not isinstance(made, ast.Call) or last_name(made.func) != "async_to_sync":
                continue
            if (file.scopes.dotted(made.func) or "").startswith("asgiref.") and file.runs_in_coroutine(call):
                yield call, "async_to_sync() in a coroutine raises RuntimeError: await it"

    def edits(self, file: CheckedFile, found: Diagnostic) -> list[TextEdit]:
        """What is wrapped, called and awaited; it raises as it stands."""
        same = [one for one in file.calls() if (one.lineno, one.col_offset + 1) == (found.line, found.column)]
        call = next((one for one in same if isinstance(one.func, ast.Call)), None)
        made = call.func if call is not None else None
        if call is None or not isinstance(made, ast.Call) or len(made.args) != 1 or made.keywords:
            return []
        wrapped = made.args[0]
        if not isinstance(wrapped, ast.Name | ast.Attribute) or _is_within_another(file, call):
            return []
        start, end = (made.lineno, made.col_offset), (made.end_lineno or made.lineno, made.end_col_offset or 0)
        return [*_awaited(file, call), TextEdit(start=start, end=end, text=ast.unparse(wrapped))]
