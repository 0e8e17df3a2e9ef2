"""BC4xx: workflows and what follows a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ...source import EnqueueSite, TaskDef
from ..checked_tree import CheckedTree
from ..rule import Found, TreeRule


class ErrbackArguments(TreeRule):
    """BC401."""

    code = "BC401"
    name = "errback-arguments"
    severity: ClassVar = "error"
    summary = "An errback can't take what Celery gives it."
    why = (
        "Celery calls a bound errback with the id of the failed task before its own arguments, and another one with "
        "`(request, exc, traceback)` or, where it takes one argument, with that id. What does not fit is a `TypeError` "
        "that Celery only logs: what the errback should undo stays as it is. Eager tests never call it."
    )
    fix = "Take the argument (`def undo(self, task_id, pk)`), or make the signature immutable: `undo.si(pk)`."
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task


@shared_task
def charge(pk): ...


@shared_task(bind=True)
def undo(self, pk): ...


def buy(pk):
    charge.apply_async((pk,), link_error=undo.s(pk))
"""
    right = wrong.replace("undo.s(pk)", "undo.si(pk)")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of mutable signatures of functions whose arguments are known."""
        for site in tree.enqueues():
            task = tree.index.tasks.get(site.task or "")
            if site.callback != "link_error" or site.method not in ("s", "signature", "subtask"):
                continue
            if task is None or task.kind != "function" or "immutable" in site.arguments.options:
                continue
            if (message := _mismatch(task, site)) is not None:
                yield site.place, message


def _mismatch(task: TaskDef, site: EnqueueSite) -> str | None:
    own, named = site.arguments.positional, site.arguments.named
    if own is None or named is None:
        return None
    if task.bound:
        if _fits(task, 1 + len(own), set(named)) and not _shifted(task, own):
            return None
        return f"{task.name} is bound: as an errback it is given the failed task's id before its own arguments"
    least = 3 if not own and not named and _most(task) > 1 else 1
    if any(_fits(task, number + len(own), set(named)) for number in ((1, 3) if own or named else (least,))):
        return None
    given = "(request, exc, traceback)" if least == 3 else "the failed task's id"
    return f"{task.name} as an errback is given {given} before its own arguments, and can't take it"


def _shifted(task: TaskDef, own: tuple[str, ...]) -> bool:
    """Whether an argument bears the name of the parameter before the one where it arrives: ``undo.s(backup)``."""
    names = [one.name for one in task.parameters if one.kind in ("positional", "positional_only")]
    return any(given.rpartition(".")[2] == name for given, name in zip(own, names, strict=False))


def _most(task: TaskDef) -> int:
    if any(one.kind == "var_positional" for one in task.parameters):
        return 1_000
    return sum(one.kind in ("positional", "positional_only") for one in task.parameters)


def _fits(task: TaskDef, positional: int, named: set[str]) -> bool:
    """Whether a call with so many positional arguments and these named ones is one that the function takes."""
    if positional > _most(task):
        return False
    plain = [one for one in task.parameters if one.kind in ("positional", "positional_only")]
    filled = {one.name for one in plain[:positional]}
    if filled & named:
        return False
    missing = [one for one in plain[positional:] if one.default is None and one.name not in named]
    missing += [
        one for one in task.parameters if one.kind == "keyword_only" and one.default is None and one.name not in named
    ]
    known = {one.name for one in task.parameters}
    takes_any = any(one.kind == "var_keyword" for one in task.parameters)
    return not missing and (takes_any or named <= known)
