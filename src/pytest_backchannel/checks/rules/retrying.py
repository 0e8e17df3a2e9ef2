"""BC3xx: how a task retries."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from ...source import TaskDef
from ...source.reading.source_file import FUNCTIONS, Function, literal
from ...source.reading.surroundings import last_name
from ..checked_file import CheckedFile
from ..checked_tree import CheckedTree
from ..diagnostic import Diagnostic
from ..fixing.text_edits import TextEdit, inserted
from ..rule import Found, TreeRule


def retry_calls(task: TaskDef, file: CheckedFile, function: Function) -> list[ast.Call]:
    """The calls of the task's own ``retry`` that raise."""
    return [
        call
        for call in file.calls()
        if call.lineno in task.calls_retry
        and file.source.function_of(call) is function
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "retry"
        and not any(one.arg in ("throw", None) for one in call.keywords)
    ]


class RetrySwallowed(TreeRule):
    """BC304."""

    code = "BC304"
    name = "retry-swallowed"
    severity: ClassVar = "error"
    summary = "`self.retry()` stands in a `try` whose `except Exception` catches it."
    why = (
        "`retry()` works by raising `Retry`. Whoever catches that has the task succeed (or fail) while a second run is "
        "already in the queue."
    )
    fix = "Call it outside of the `try`, or let `except Retry: raise` come first."
    page = "how-to/test-tasks.md"
    wrong = """
import logging
from celery import shared_task


@shared_task(bind=True)
def send(self, pk):
    try:
        if not post(pk):
            raise self.retry(countdown=60)
    except Exception:
        logging.exception("not sent")
"""
    right = wrong.replace("except Exception", "except OSError")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where no clause before it lets ``Retry`` through, and its own body raises nothing."""
        for task, file, function in tree.tasks():
            for call in retry_calls(task, file, function):
                if any(_swallows(above) for above in _tries_around(file, call)):
                    yield file.source.place(call), f"the Retry of {task.name} is caught by the except clause around it"


def _tries_around(file: CheckedFile, call: ast.Call) -> Iterator[ast.Try]:
    for above, child in file.source.ancestors(call):
        if isinstance(above, FUNCTIONS):
            return
        if isinstance(above, ast.Try) and child in above.body:
            yield above


def _swallows(one: ast.Try) -> bool:
    for handler in one.handlers:
        caught = [None] if handler.type is None else _listed(handler.type)
        names = {last_name(node) if node is not None else "BaseException" for node in caught}
        raises = any(isinstance(part, ast.Raise | ast.Call) and _raises(part) for part in ast.walk(handler))
        if names & {"Retry", "Ignore", "TaskPredicate", "CeleryError"}:
            return False
        if names & {"Exception", "BaseException"}:
            return not raises
    return False


def _raises(node: ast.Raise | ast.Call) -> bool:
    """Whether it leaves the handler by raising; a retry there does, too."""
    return isinstance(node, ast.Raise) or last_name(node.func) in ("retry", "reraise", "exit", "_exit")


def _listed(node: ast.expr) -> list[ast.expr | None]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


class CodeAfterRetry(TreeRule):
    """BC305."""

    code = "BC305"
    name = "code-after-retry"
    summary = "Code follows on `self.retry()`, as if that returned."
    why = "`retry()` raises `Retry`, with `raise` before it or not: what follows never runs."
    fix = "`raise self.retry(…)`, and what should happen goes before it."
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task


@shared_task(bind=True)
def send(self, pk):
    if not post(pk):
        self.retry(countdown=60)
        note(pk)
"""
    right = """
from celery import shared_task


@shared_task(bind=True)
def send(self, pk):
    if not post(pk):
        note(pk)
        raise self.retry(countdown=60)
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of code in the same block; a bare ``return``, ``raise`` or ``pass`` only ends the block for the eye."""
        for task, file, function in tree.tasks():
            for call in retry_calls(task, file, function):
                statement = file.source.parent(call)
                if isinstance(statement, ast.Expr | ast.Raise) and _follows(file, statement):
                    yield (
                        file.source.place(call),
                        f"what follows on this retry of {task.name} never runs: retry() raises",
                    )


def _follows(file: CheckedFile, statement: ast.stmt) -> bool:
    above = file.source.parent(statement)
    for name in above._fields if above is not None else ():
        block = getattr(above, name)
        if isinstance(block, list) and statement in block:
            rest = block[block.index(statement) + 1 :]
            return any(not _only_ends(one) for one in rest)
    return False


def _only_ends(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return):
        return statement.value is None or literal(statement.value)[0]
    return isinstance(statement, ast.Pass | ast.Raise | ast.Break | ast.Continue)


class RetryWithoutRaise(TreeRule):
    """BC313."""

    code = "BC313"
    name = "retry-without-raise"
    summary = "`self.retry()` stands alone, as if it returned."
    why = (
        "It raises `Retry`, so that the task ends there; readers, linters and type checkers do not know. A test that "
        "replaces `retry` by a mock runs on where production never does."
    )
    fix = "`raise self.retry(…)`."
    page = "how-to/test-tasks.md"
    mends = True
    wrong = """
from celery import shared_task


@shared_task(bind=True)
def send(self, pk):
    if not post(pk):
        self.retry(countdown=60)
"""
    right = wrong.replace("self.retry", "raise self.retry")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where nothing follows in its block; the rule for that speaks otherwise."""
        for task, file, function in tree.tasks():
            for call in retry_calls(task, file, function):
                statement = file.source.parent(call)
                if isinstance(statement, ast.Expr) and not _follows(file, statement):
                    yield file.source.place(call), f"this retry of {task.name} raises, and does not look like it"

    def edits(self, file: CheckedFile, found: Diagnostic) -> list[TextEdit]:
        """The word; the call raises anyway."""
        for call in file.calls():
            is_retry = isinstance(call.func, ast.Attribute) and call.func.attr == "retry"
            if is_retry and call.lineno == found.line and isinstance(file.source.parent(call), ast.Expr):
                return [inserted(call, "raise ")]
        return []


class BackoffBySleep(TreeRule):
    """BC310."""

    code = "BC310"
    name = "backoff-by-sleep"
    summary = "A task sleeps before it tries again."
    why = (
        "Its worker process does nothing else meanwhile, a restart waits for it or loses it, and each test of it waits "
        "in real time."
    )
    fix = "`raise self.retry(countdown=60)`: the message waits, and no process; in tests `virtual_clock`."
    page = "how-to/time-travel.md"
    wrong = """
import time
from celery import shared_task


@shared_task
def send(pk):
    for attempt in range(5):
        try:
            return post(pk)
        except OSError:
            time.sleep(2**attempt)
"""
    right = """
from celery import shared_task


@shared_task(bind=True, max_retries=5)
def send(self, pk):
    try:
        return post(pk)
    except OSError as error:
        raise self.retry(exc=error, countdown=2**self.request.retries)
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of ``time.sleep`` in an ``except`` clause within a loop of the task's own body."""
        for task, file, function in tree.tasks():
            for call in file.calls():
                if last_name(call.func) != "sleep" or file.source.function_of(call) is not function:
                    continue
                if file.scopes.dotted(call.func) == "time.sleep" and _tries_again(file, call):
                    yield file.source.place(call), f"{task.name} sleeps before it tries again, and holds its worker"


def _tries_again(file: CheckedFile, call: ast.Call) -> bool:
    kinds: list[type[ast.AST]] = []
    for above, _ in file.source.ancestors(call):
        if isinstance(above, FUNCTIONS):
            break
        kinds.append(type(above))
    loops = [number for number, kind in enumerate(kinds) if kind in (ast.For, ast.While)]
    return ast.ExceptHandler in kinds and any(number > kinds.index(ast.ExceptHandler) for number in loops)
