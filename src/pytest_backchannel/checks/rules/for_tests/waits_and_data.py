"""BC1xx: async tests: what they wait for, and whose rows they see."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import ClassVar

from ....source.reading.source_file import Function
from ....source.reading.surroundings import last_name
from ....source.reading.templates import is_none
from ...checked_file import CheckedFile
from ...checked_tree import CheckedTree
from ...rule import FileRule, Found, Spot, TreeRule
from ..model_values import ASKS_THE_DATABASE, manager_chain
from .in_tests import marks_of, parameters_of, tests_of

_RECEIVES = frozenset({"receive_from", "receive_json_from", "receive_output"})
_TO_THREAD = frozenset({"asgiref.sync.sync_to_async", "channels.db.database_sync_to_async"})


class ReceiveForEver(FileRule):
    """BC108."""

    code = "BC108"
    name = "receive-for-ever"
    summary = "A test waits for a frame with `timeout=None`."
    why = "Where the consumer sends nothing, or has crashed, the CI job hangs until it is killed."
    fix = "`timeout=2`, or none: a communicator waits for a second by itself."
    path = "tests/test_chat.py"
    page = "how-to/test-consumers.md"
    of: ClassVar = "tests"
    worth: ClassVar = ((b"receive_from", b"receive_json_from", b"receive_output"),)
    wrong = """
import pytest
from channels.testing import WebsocketCommunicator
from chat.consumers import Chat


@pytest.mark.asyncio
async def test_chat():
    socket = WebsocketCommunicator(Chat.as_asgi(), "/ws/")
    await socket.connect()
    assert await socket.receive_json_from(timeout=None) == {"hello": "you"}
    await socket.disconnect()
"""
    right = wrong.replace("timeout=None", "timeout=2")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of Channels' communicators, by the names of their methods."""
        for call in file.calls():
            if not isinstance(call.func, ast.Attribute) or call.func.attr not in _RECEIVES:
                continue
            given = [*call.args[:1], *(one.value for one in call.keywords if one.arg == "timeout")]
            if any(is_none(one) for one in given):
                yield call, f"{call.func.attr}(timeout=None) waits for ever for a frame that does not come"


class DatabaseInAsyncTest(TreeRule):
    """BC109."""

    code = "BC109"
    name = "db-in-async-test"
    severity: ClassVar = "error"
    summary = "An async test uses the database with pytest-django's `db`, which holds for one thread."
    why = (
        "The async ORM and `sync_to_async` run on a thread with a connection of its own: they do not see the rows of "
        "the test's transaction, and what they write stays in the database for the next tests (pytest-django#580)."
    )
    fix = "Use pytest-backchannel, which lends them the test's connection; or `transactional_db`, which is slower."
    path = "tests/test_shop.py"
    page = "how-to/async-database.md"
    wrong = """
import pytest
from shop.models import Order


@pytest.mark.asyncio
async def test_order(db):
    order = await Order.objects.acreate(pk=7)
    assert order.pk == 7
"""
    right = wrong.replace("(db)", "(transactional_db)")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where the project does not have the plugin, and the test itself asks the database in a thread."""
        told = "backchannel" in tree.project.requirements or tree.says(b"pytest_backchannel", b"backchannel_")
        has_plugin = told or any(name.startswith("backchannel_") for name in tree.configuration)
        if (has_plugin and tree.configuration.get("backchannel_async_db") != "off") or _flushes_by_itself(tree):
            return
        for file in tree.tests(rb"async def test", rb"\bdb\b|django_db", rb"\.objects\b"):
            if re.search(rb"transactional_db|transaction=True", file.text):
                continue
            for function in tests_of(file):
                if isinstance(function, ast.AsyncFunctionDef) and _uses_db(file, function):
                    for call in _in_threads(file, function)[:1]:
                        yield (
                            file.source.place(call),
                            f"{function.name} has `db`: this runs on another connection, and what it writes stays",
                        )


def _flushes_by_itself(tree: CheckedTree) -> bool:
    """Whether a conftest has a fixture with another kind of database, which tests may use by another name."""
    return any(
        path.endswith("conftest.py") and re.search(rb"transactional_db|transaction=True|django_db_blocker", text)
        for path, text in tree.texts.items()
    )


def _uses_db(file: CheckedFile, function: Function) -> bool:
    owner = file.source.class_of(function)
    if owner is not None and owner.bases:
        return False  # Django's own async tests run in the thread of their connection
    return "db" in parameters_of(function) or "django_db" in marks_of(file, function)


def _in_threads(file: CheckedFile, function: Function) -> list[ast.Call]:
    """The calls of a test that surely ask the database on another thread."""
    found: list[ast.Call] = []
    for call in file.calls():
        if file.source.function_of(call) is not function or not isinstance(file.source.parent(call), ast.Await):
            continue
        chain = manager_chain(call)
        is_orm = bool(chain) and chain[-1].removeprefix("a") in ASKS_THE_DATABASE and chain[-1].startswith("a")
        made = call.func.func if isinstance(call.func, ast.Call) else None
        given = call.func.args[0] if isinstance(call.func, ast.Call) and call.func.args else None
        in_thread = made is not None and file.scopes.dotted(made) in _TO_THREAD and _is_manager(given)
        if is_orm or in_thread:
            found.append(call)
    return found


def _is_manager(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Attribute) and last_name(node.value) == "objects" and node.attr in ASKS_THE_DATABASE
