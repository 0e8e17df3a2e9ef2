"""BC2xx: the place where a task is enqueued."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from ...source import EnqueueSite
from ...source.reading.scopes import parameter_names, target_names
from ...source.reading.source_file import FUNCTIONS, SourceFile, written
from ...source.reading.surroundings import is_on_commit, last_name
from ..checked_file import CheckedFile
from ..checked_tree import CheckedTree
from ..diagnostic import Diagnostic
from ..fixing.text_edits import TextEdit
from ..rule import FileRule, Found, Spot, TreeRule
from .model_values import model_value

_SENDS = ("delay", "apply_async", "send_task")


class EnqueueInAtomic(TreeRule):
    """BC201."""

    code = "BC201"
    name = "enqueue-in-atomic"
    severity: ClassVar = "error"
    summary = "A task is enqueued inside of `atomic()`, before the transaction is committed."
    why = (
        "A worker may start before the commit, and finds neither the row nor the change; where the transaction is "
        "rolled back, the task runs all the same."
    )
    fix = "`send.delay_on_commit(…)` (Celery 5.4), or `transaction.on_commit(lambda: send.delay(…))`."
    path = "shop/tasks.py"
    page = "reference/slugs.md"
    wrong = """
from celery import shared_task
from django.db import transaction


@shared_task
def send(pk): ...


def buy(order):
    with transaction.atomic():
        order.save()
        send.delay(order.pk)
"""
    right = wrong.replace(".delay(", ".delay_on_commit(")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of tasks that are known, unless the project has a way of its own to wait for the commit."""
        waits = tree.matches(rb"def (?:apply_async|delay|send_task)\((?s:.*)on_commit", needs=b"on_commit")
        for site in tree.enqueues():
            around = site.around
            if site.kind != "enqueue" or site.method not in _SENDS or not site.called or site.task is None:
                continue
            if around.in_on_commit or around.in_lambda or waits or not around.in_atomic:
                continue
            if not _of_another_database(tree, site):
                yield site.place, f"{site.task} is enqueued inside of atomic(): {_what_happens(site)}"


def _what_happens(site: EnqueueSite) -> str:
    if {"countdown", "eta"} & set(site.arguments.options):
        return "where that is rolled back, it runs all the same"
    return "a worker may start before the commit"


def _of_another_database(tree: CheckedTree, site: EnqueueSite) -> bool:
    """Whether a transaction around it names its database: the task may need nothing of it."""
    found = tree.call_of(site)
    if found is None:
        return False
    file, call = found
    makes = [
        one
        for above, _ in file.source.ancestors(call)
        for one in (
            [item.context_expr for item in above.items]
            if isinstance(above, ast.With)
            else above.decorator_list
            if isinstance(above, FUNCTIONS)
            else []
        )
    ]
    return any(
        isinstance(one, ast.Call)
        and last_name(one.func) == "atomic"
        and (bool(one.args) or any(each.arg == "using" for each in one.keywords))
        for one in makes
    )


class ArgumentNotSerialisable(TreeRule):
    """BC202."""

    code = "BC202"
    name = "argument-not-serialisable"
    severity: ClassVar = "error"
    summary = "A task is given a model instance, a queryset or a set, which JSON can't take."
    why = "The enqueue itself raises `EncodeError`: in production, and in no test that mocks it."
    fix = "Give the primary key, or a list, and let the task read what it needs."
    page = "how-to/test-the-call-site.md"
    wrong = """
from celery import shared_task
from .models import Order


@shared_task
def send(order): ...


def buy(pk):
    order = Order.objects.get(pk=pk)
    send.delay(order)
"""
    right = wrong.replace("send.delay(order)", "send.delay(order.pk)")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where the serialiser is Celery's own, and no other type has been registered."""
        other = any("serializer" in one.name.lower() and one.value != "json" for one in tree.index.settings)
        if other or tree.says(b"register_type(", b"kombu.serialization", b"from kombu import serialization"):
            return
        for site in tree.enqueues():
            if site.kind not in ("enqueue", "signature") or site.task is None or not site.called:
                continue
            if _names_serialiser(tree, site):
                continue
            for what, source in _unserialisable(tree, site):
                yield site.place, f"{site.task} is given {what} ({source}), which JSON can't take: EncodeError"


def _names_serialiser(tree: CheckedTree, site: EnqueueSite) -> bool:
    task = tree.index.tasks.get(site.task or "")
    return "serializer" in site.arguments.options or (task is not None and "serializer" in task.options)


def _unserialisable(tree: CheckedTree, site: EnqueueSite) -> Iterator[tuple[str, str]]:
    found = tree.call_of(site)
    if found is None:
        return
    file, call = found
    given = [*call.args, *(one.value for one in call.keywords if one.arg is not None)]
    if site.method == "apply_async":
        inner = [*call.args[:2], *(one.value for one in call.keywords if one.arg in ("args", "kwargs"))]
        given = [value for one in inner for value in _parts(one)]
    elif site.method not in ("delay", "delay_on_commit", "s", "si"):
        return
    for one in given:
        if (what := _kind(file, one)) is not None:
            yield what, written(one)


def _parts(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.List | ast.Tuple):
        return node.elts
    return node.values if isinstance(node, ast.Dict) else []


def _kind(file: CheckedFile, node: ast.expr) -> str | None:
    value = file.scopes.value(node) if isinstance(node, ast.Name) else node
    if value is None:
        return None
    if isinstance(value, ast.Set | ast.SetComp):
        return "a set"
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("set", "frozenset"):
        return "a set"
    if written(value) in ("request.user", "self.request.user"):
        return "a model instance"
    return model_value(file, value)


class LateBinding(FileRule):
    """BC203."""

    code = "BC203"
    name = "late-binding-in-on-commit"
    severity: ClassVar = "error"
    summary = "A function that is given to `on_commit` in a loop uses the loop's variable."
    why = (
        "All of these functions run after the commit, when the loop has ended: each of them sees the variable's last "
        "value, and one task is enqueued many times while the others are never enqueued."
    )
    fix = "`functools.partial(send.delay, order.pk)`, or a default: `lambda pk=order.pk: send.delay(pk)`."
    mends = True
    worth = ((b"on_commit",),)
    path = "shop/views.py"
    page = "how-to/test-the-call-site.md"
    wrong = """
from django.db import transaction
from .tasks import send


def buy(orders):
    with transaction.atomic():
        for order in orders:
            order.save()
            transaction.on_commit(lambda: send.delay(order.pk))
"""
    right = wrong.replace("lambda: send.delay(order.pk)", "lambda pk=order.pk: send.delay(pk)")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Lambdas, and functions that are defined in the loop."""
        for call in file.calls():
            if not is_on_commit(call) or not call.args:
                continue
            loop = _loop_around(file.source, call)
            body = _deferred(file.source, call.args[0], loop) if loop is not None else None
            if loop is None or body is None:
                continue
            late = sorted(_changing(file.source, loop) & _free_names(body))
            if late:
                yield call, f"on_commit runs this after the loop, with the last value of {', '.join(late)} each time"

    def edits(self, file: CheckedFile, found: Diagnostic) -> list[TextEdit]:
        """Defaults that keep the values of this turn, for a lambda without parameters; Django calls it with none."""
        for call in file.calls():
            loop = _loop_around(file.source, call) if (call.lineno, call.col_offset + 1) == _start(found) else None
            given = call.args[0] if loop is not None else None
            if loop is None or not isinstance(given, ast.Lambda) or parameter_names(given.args):
                continue
            late = sorted(_changing(file.source, loop) & _free_names(given))
            after = (given.lineno, given.col_offset + len("lambda"))
            return [TextEdit(start=after, end=after, text=" " + ", ".join(f"{name}={name}" for name in late))]
        return []


def _start(found: Diagnostic) -> tuple[int, int]:
    return found.line, found.column


def _loop_around(file: SourceFile, call: ast.Call) -> ast.For | ast.AsyncFor | None:
    """The loop in whose body a call stands, where neither a transaction ends nor the loop itself in each turn."""
    for above, child in file.ancestors(call):
        if isinstance(above, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            return None
        if isinstance(above, ast.With) and any(last_name(_called(one.context_expr)) == "atomic" for one in above.items):
            return None
        if isinstance(above, ast.For | ast.AsyncFor) and child in above.body:
            ends = any(isinstance(one, ast.Break | ast.Return) for one in above.body)
            return None if ends else above
    return None


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _deferred(
    file: SourceFile, given: ast.expr, loop: ast.For | ast.AsyncFor | None
) -> ast.Lambda | ast.FunctionDef | None:
    if isinstance(given, ast.Lambda):
        return given
    if isinstance(given, ast.Name):
        for one in file.of_kind(ast.FunctionDef):
            if one.name == given.id and any(above is loop for above, _ in file.ancestors(one)):
                return one
    return None


def _changing(file: SourceFile, loop: ast.For | ast.AsyncFor) -> set[str]:
    """The names that are bound anew in each turn of the loop, as far as its own function is concerned."""
    names = set(target_names(loop.target))
    for statement in file.of_kind(ast.Assign):
        inside = any(above is loop for above, _ in file.ancestors(statement))
        if inside and file.function_of(statement) is file.function_of(loop):
            names.update(name for target in statement.targets for name in target_names(target))
    return names


def _free_names(function: ast.Lambda | ast.FunctionDef) -> set[str]:
    """The names that the body reads and does not bind itself."""
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    names = [one for part in body for one in ast.walk(part) if isinstance(one, ast.Name)]
    arguments = function.args
    own = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    own.update(one.id for one in names if not isinstance(one.ctx, ast.Load))
    inner = {one.arg for part in body for one in ast.walk(part) if isinstance(one, ast.arg)}
    return {one.id for one in names if isinstance(one.ctx, ast.Load)} - own - inner
