"""BC3xx: what a task does in its body, and what is done with its result."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from ...source import TaskDef
from ...source.reading.definitions import workflow_name
from ...source.reading.source_file import FUNCTIONS, Function, literal
from ...source.reading.surroundings import last_name
from ..checked_file import CheckedFile
from ..checked_tree import CheckedTree
from ..rule import Found, TreeRule

_SENDS = frozenset({"delay", "apply_async"})


def waited_for(file: CheckedFile, call: ast.Call) -> ast.Call | None:
    """The enqueue whose result a call of ``.get()`` waits for: ``send.delay(7).get()``, through a variable too."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in ("get", "join"):
        return None
    receiver: ast.expr | None = call.func.value
    if isinstance(receiver, ast.Name):
        receiver = file.scopes.value(receiver)
    if not isinstance(receiver, ast.Call):
        return None
    if isinstance(receiver.func, ast.Attribute) and receiver.func.attr in _SENDS:
        return receiver
    # group(…)() and (a.s() | b.s())()
    applied = receiver.func
    return receiver if isinstance(applied, ast.Call) and workflow_name(file.scopes, applied) else None


def enqueue_places(tree: CheckedTree) -> set[tuple[str, int, int]]:
    """Where a task that is known, or a workflow, is enqueued: path, first and last line."""
    return {
        (site.place.path, site.place.line, site.place.end_line)
        for site in tree.index.enqueues
        if site.kind in ("enqueue", "workflow") and (site.task is not None or site.applied)
    }


def _has_timeout(call: ast.Call) -> bool:
    return bool(call.args) or any(one.arg in ("timeout", None) for one in call.keywords)


def _gets(tree: CheckedTree, file: CheckedFile, calls: list[ast.Call]) -> Iterator[tuple[ast.Call, ast.Call]]:
    """The calls that wait for a result of Celery's, each with its enqueue."""
    known = enqueue_places(tree)
    for call in calls:
        sent = waited_for(file, call)
        if sent is not None and (file.path, sent.lineno, sent.end_lineno or sent.lineno) in known:
            yield call, sent


class GetInTask(TreeRule):
    """BC302."""

    code = "BC302"
    name = "get-in-task"
    severity: ClassVar = "error"
    summary = "A task waits for the result of another one."
    why = (
        "Celery raises `RuntimeError: Never call result.get() within a task!`; where that is switched off, workers wait "
        "for each other until none is left. Eager tests are green."
    )
    fix = "A chain, or a callback (`link`, a chord's body) that is given the result."
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task

@shared_task
def total(pk): ...

@shared_task
def report(pk):
    return total.delay(pk).get(timeout=5)
"""
    right = wrong.replace("total.delay(pk).get(timeout=5)", "total(pk)")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Not within ``allow_join_result()``, and not with ``disable_sync_subtasks=False``."""
        for task, file, function in tree.tasks():
            calls = [one for one in file.calls() if file.source.function_of(one) is function]
            for call, _ in _gets(tree, file, calls):
                allowed = any(one.arg in ("disable_sync_subtasks", None) for one in call.keywords)
                if not allowed and not _joins(file, call):
                    yield file.source.place(call), f"{task.name} waits for a result: Celery raises RuntimeError"


def _joins(file: CheckedFile, call: ast.Call) -> bool:
    return any(
        isinstance(above, ast.With) and any("allow_join_result" in ast.unparse(one.context_expr) for one in above.items)
        for above, _ in file.source.ancestors(call)
    )


class UnboundedGet(TreeRule):
    """BC303."""

    code = "BC303"
    name = "unbounded-get"
    summary = "Code waits for a task's result without a timeout."
    why = "Where no worker runs, or the message is lost, the request or process waits for ever."
    fix = "`.get(timeout=5)`, and an answer for `TimeoutError`; better none at all in a request."
    path = "shop/views.py"
    page = "how-to/test-the-call-site.md"
    wrong = """
from celery import shared_task

@shared_task
def total(pk): ...

def show(request, pk):
    return total.delay(pk).get()
"""
    right = wrong.replace(".get()", ".get(timeout=5)")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Not in tests and not in commands, which somebody watches; in a task the rule for that speaks."""
        bodies = {function for _, _, function in tree.tasks()}
        paths = sorted({site.place.path for site in tree.enqueues()})
        for file in filter(None, map(tree.file, paths)):
            if "/management/commands/" in f"/{file.path}":
                continue
            for call, sent in _gets(tree, file, file.calls()):
                ignored = _ignores_result(tree, file, sent)
                if file.source.function_of(call) not in bodies and not _has_timeout(call) and not ignored:
                    yield (
                        file.source.place(call),
                        "waits for a task's result without a timeout: for ever, if no worker runs",
                    )


def _ignores_result(tree: CheckedTree, file: CheckedFile, sent: ast.Call) -> TaskDef | None:
    """The task, where its results are thrown away by what it is declared with."""
    for site in tree.index.enqueues:
        place = site.place
        if (place.path, place.line) != (file.path, sent.lineno) or site.kind != "enqueue" or site.task is None:
            continue
        task = tree.index.tasks.get(site.task)
        if (
            task is not None
            and task.options.get("ignore_result") is True
            and "ignore_result" not in site.arguments.options
        ):
            return task
    return None


class IgnoredResultUsed(TreeRule):
    """BC307."""

    code = "BC307"
    name = "ignored-result-used"
    severity: ClassVar = "error"
    summary = "The result of a task is used that is declared with `ignore_result=True`."
    why = "`get()` does not wait, and gives None, whatever the task returns."
    fix = "Leave out `ignore_result`, or do not ask for the result."
    path = "shop/views.py"
    page = "how-to/test-the-task-body.md"
    wrong = """
from celery import shared_task

@shared_task(ignore_result=True)
def total(pk): ...

def show(request, pk):
    return total.delay(pk).get(timeout=5)
"""
    right = wrong.replace("(ignore_result=True)", "")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of ``get()`` on what an enqueue returns."""
        for path in sorted({site.place.path for site in tree.enqueues()}):
            file = tree.file(path)
            for call, sent in _gets(tree, file, file.calls()) if file is not None else ():
                if file is not None and (task := _ignores_result(tree, file, sent)) is not None:
                    yield file.source.place(call), f"{task.name} has ignore_result=True: get() gives None at once"


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
