"""BC3xx: what a task does in its body, and what is done with its result."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from ...source import TaskDef
from ...source.reading.definitions import workflow_name
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
        "Celery raises `RuntimeError: Never call result.get() within a task!`; where that is off, workers wait "
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
