"""BC1xx: what the tests of a project leave out, as far as their texts say it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ....source import WebSocketRoute
from ....source.reading.source_file import written
from ....source.reading.surroundings import last_name
from ....source.reading.templates import template
from ...checked_file import CheckedFile, is_test
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule
from .route_patterns import takes

_EXPECTS = re.compile(rb"[rR]aises\((?:Base)?Exception\)")


class RetryAssertedAsException(TreeRule):
    """BC111."""

    code = "BC111"
    name = "retry-asserted-as-exception"
    summary = "A test expects any `Exception` of a task that retries."
    why = "It passes for a `Retry`, and for a bug before it or a misspelt name as well."
    fix = "`pytest.raises(celery.exceptions.Retry)`; or `task_queue.retries`, which has the delay of each."
    path = "shop/test_tasks.py"
    page = "how-to/test-tasks.md"
    wrong = """
import pytest
from celery import shared_task


@shared_task(bind=True)
def send(self, pk):
    raise self.retry(countdown=60)


def test_send_retries():
    with pytest.raises(Exception):
        send.delay(7)
"""
    right = wrong.replace("raises(Exception)", "raises(Retry)").replace(
        "import shared_task\n", "import shared_task\nfrom celery.exceptions import Retry\n"
    )

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of ``pytest.raises`` and ``assertRaises`` around the enqueue of a task whose body may retry."""
        expecting = {path for path, text in tree.texts.items() if is_test(path) and _EXPECTS.search(text) is not None}
        for site in tree.index.enqueues:
            if site.place.path not in expecting or site.kind not in ("enqueue", "direct"):
                continue
            task = tree.index.tasks.get(site.task or "")
            found = tree.call_of(site) if task is not None and task.may_retry else None
            if task is None or found is None:
                continue
            file, call = found
            for above, child in file.source.ancestors(call):
                if isinstance(above, ast.With) and child in above.body and any(map(_expects_any, above.items)):
                    yield file.source.place(above.items[0].context_expr), f"any bug of {task.name} passes for its Retry"
                    break


def _expects_any(item: ast.withitem) -> bool:
    call = item.context_expr
    return (
        isinstance(call, ast.Call)
        and last_name(call.func) in ("raises", "assertRaises")
        and len(call.args) == 1
        and written(call.args[0]) in ("Exception", "BaseException")
        and not call.keywords
    )


class RouteNotConnected(TreeRule):
    """BC112."""

    code = "BC112"
    name = "route-not-connected"
    summary = "No test connects to a WebSocket route through the ASGI application."
    why = (
        "A test of the consumer's class gives it a path and a scope of its own: a wrong pattern, a middleware that is "
        "missing, an import that fails, are seen by the first user."
    )
    fix = "`WebsocketCommunicator(application, …)`, or `websocket(…)`, with a path of this route; once is enough."
    path = "chat/test_chat.py"
    page = "how-to/test-routing.md"
    wrong = """
import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path


class Chat(AsyncWebsocketConsumer):
    pass


application = URLRouter([path("ws/chat/<room>/", Chat.as_asgi())])


@pytest.mark.asyncio
async def test_chat():
    socket = WebsocketCommunicator(Chat.as_asgi(), "/ws/chat/7/")
    await socket.connect()
    await socket.disconnect()
"""
    right = wrong.replace("Communicator(Chat.as_asgi()", "Communicator(application")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where tests open sockets at all, and each path that they have is known."""
        if not tree.index.routes or tree.says(b"websocket_matrix"):
            return
        files = tree.tests(rb"Communicator|[Ww]eb[Ss]ocket")
        if not files:
            return
        paths: set[str] = set()
        for file in files:
            known = _paths_of(file)
            if known is None:
                return
            paths |= known
        for route in tree.index.routes:
            if route.kind != "channel" and _is_ours(tree, route) and not any(takes(route, path) for path in paths):
                yield route.place, f"no test connects to {route.pattern!r} through the ASGI application"


def _is_ours(tree: CheckedTree, route: WebSocketRoute) -> bool:
    # The example of the rule stands in a test; a project's routes do not.
    in_tests_alone = is_test(route.place.path) and any(not is_test(one.place.path) for one in tree.index.routes)
    consumer = tree.index.consumers.get(route.consumer)
    is_socket = consumer is not None and consumer.protocol == "websocket"
    return is_socket and route.through_router and not in_tests_alone


def _paths_of(file: CheckedFile) -> set[str] | None:
    """What may be a path that a test connects to through the application; None where one is not known."""
    elsewhere: set[ast.AST] = set()
    for call in file.calls():
        name = last_name(call.func)
        if name in ("path", "re_path", "url"):
            elsewhere.update(ast.walk(call))  # a route that the test has itself
        if not name.endswith("Communicator") and name != "websocket":
            continue
        named = [one.value for one in call.keywords if one.arg == "path"]
        given = [*(call.args[1:2] if name != "websocket" else call.args[:1]), *named]
        if call.args and _is_class(call.args[0]):
            elsewhere.update(part for one in given for part in ast.walk(one))
        elif any(template(file.scopes, one) == (None,) or isinstance(one, ast.Starred) for one in given):
            return None
    texts: list[ast.Constant | ast.JoinedStr] = []
    texts += file.source.of_kind(ast.Constant)
    texts += file.source.of_kind(ast.JoinedStr)
    return {said for node in texts if node not in elsewhere and "/" in (said := _said(file, node))}


def _is_class(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    return (isinstance(called, ast.Attribute) and called.attr == "as_asgi") or last_name(called).endswith("Consumer")


def _said(file: CheckedFile, node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) and len(node.value) < 200 else ""
    return "".join(part if isinstance(part, str) else "{}" for part in template(file.scopes, node))


_RUNS_TASKS = (
    b"always_eager",
    b"ALWAYS_EAGER",
    b"celery_eager",
    b"task_queue",
    b"celery_worker",
    b"celery_session_worker",
    b"worker_process",
)


class BodyNeverRun(TreeRule):
    """BC113."""

    code = "BC113"
    name = "body-not-tested"
    summary = "The tests replace the `delay` of a task, and none names the task itself."
    why = "That it is enqueued is tested; what it does is not, and no view's test will ever run it."
    fix = "A test that calls the task as a function, or with `task_queue.run()`."
    path = "shop/tasks.py"
    page = "how-to/test-the-task-body.md"
    wrong = """
from unittest.mock import patch
from celery import shared_task


@shared_task
def send_invoice(pk): ...


def test_view(client):
    with patch("shop.tasks.send_invoice.delay") as delay:
        client.post("/invoices/7/")
    delay.assert_called_once_with(7)
"""
    right = wrong + "\n\ndef test_body():\n    assert send_invoice(7) is None\n"

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where nothing runs tasks eagerly or by a worker, and nothing else calls the function."""
        if tree.says(*_RUNS_TASKS):
            return
        tests = b"\n".join(text for path, text in tree.texts.items() if is_test(path) or b"def test_" in text)
        for task, _, function in tree.tasks():
            name = re.escape(function.name).encode()
            quoted = rb"""['"][\w.]*\b%s\.(?:delay|apply_async)['"]""" % name
            patched = len(re.findall(quoted, tests))
            if not patched or _is_called(tree, name):
                continue
            # Its own definition stands among the tests where a file has both.
            known = len(re.findall(rb"(?<!def )\b%s\b" % name, tests))
            if known == patched:
                yield task.place, f"the tests replace {task.name}.delay, and none names the task itself"


def _is_called(tree: CheckedTree, name: bytes) -> bool:
    """Whether any code calls a function of this name, or the task as it is run at once."""
    return tree.matches(rb"(?<!def )\b%s\(|\b%s\.(?:apply|run|__wrapped__)\b" % (name, name), needs=name)


_CALLS_PYTEST = re.compile(r"(?:^|[\s'\"])pytest(?:\s|$)")
_SELECTS = re.compile(r"""(?:^|\s)-m[ =]|--celery|PYTEST_ADDOPTS""")


class OneJobForAll(TreeRule):
    """BC114."""

    code = "BC114"
    name = "one-ci-job"
    summary = "The CI runs tests with real workers and all others in one job."
    why = "Each push waits for the slow ones, and a broker that does not start stops the fast ones, too."
    fix = 'Two jobs: `pytest -m "not celery_integration"`, and `pytest -m celery_integration`.'
    path = "tests/test_shop.py"
    page = "how-to/integration-tests.md"
    wrong = """
import pytest
from shop.tasks import send


@pytest.mark.celery_integration
def test_send(celery_session_worker):
    assert send.delay(7).get(timeout=5) == 7
"""
    right = """
def test_send(task_queue):
    task_queue.assert_empty()
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where a workflow calls pytest itself, and none of them, nor pytest's configuration, chooses by a mark."""
        runs = [
            (path, number, line)
            for path, text in tree.project.ci.items()
            for number, line in enumerate(text.splitlines(), 1)
            if _CALLS_PYTEST.search(line) and not re.search(r"\binstall\b|#", line)
        ]
        texts = [*tree.project.ci.values(), tree.configuration.get("addopts", "")]
        if not runs or any(_SELECTS.search(text.replace("python -m pytest", "")) for text in texts):
            return
        if any(b"celery_integration" in text for text in tree.test_texts().values()):
            path, number, line = runs[0]
            yield tree.line_of(path, number), f"one job runs fast tests and those of real workers: {line.strip()[:80]}"
