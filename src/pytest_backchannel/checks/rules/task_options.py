"""BC3xx: what a task is declared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ..checked_tree import CheckedTree
from ..rule import Found, TreeRule


class AsyncTask(TreeRule):
    """BC301."""

    code = "BC301"
    name = "async-task"
    severity: ClassVar = "error"
    summary = "A task is an `async def`, which Celery does not run."
    why = (
        "Celery calls it and gets a coroutine that nobody awaits (seen up to Celery 5.7): the body never runs. With a "
        "result backend the task fails with `EncodeError`; with `ignore_result` it succeeds and has done nothing."
    )
    fix = "A plain `def` that calls `async_to_sync(work)(…)`."
    page = "how-to/test-the-task-body.md"
    wrong = """
from celery import shared_task


@shared_task
async def send(pk): ...
"""
    right = wrong.replace("async def", "def")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Not where a decorator below Celery's, a base class or another pool may run it."""
        if tree.says(b"celery_aio_pool", b"celery_pool_asyncio", b"aio_celery", b"CELERY_CUSTOM_WORKER_POOL"):
            return
        for task, _, function in tree.tasks():
            if task.is_async and not task.base and task.kind == "function" and len(function.decorator_list) == 1:
                yield task.place, f"{task.name} is an async def: Celery never awaits it, and its body does not run"


class RetriesForEver(TreeRule):
    """BC306."""

    code = "BC306"
    name = "retries-for-ever"
    summary = "A task that retries has `max_retries=None`: it never gives up."
    why = "What fails for good (a customer who is gone, a bug) is tried until somebody purges the queue."
    fix = "A number, and what is to be done when it is reached: `on_failure`, or an errback."
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task


@shared_task(bind=True, max_retries=None)
def send(self, pk):
    try:
        post(pk)
    except OSError as error:
        raise self.retry(exc=error)
"""
    right = wrong.replace("max_retries=None", "max_retries=5")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of tasks that retry; where the task counts by itself, it is let be."""
        for task, file, function in tree.tasks():
            body = b"\n".join(file.text.splitlines()[function.lineno - 1 : function.end_lineno])
            counts = b"request.retries" in body
            if task.option_sources.get("max_retries") == "None" and task.may_retry and not counts:
                yield task.place, f"{task.name} retries, and max_retries=None lets it do so for ever"


class AutoretryForEverything(TreeRule):
    """BC308."""

    code = "BC308"
    name = "autoretry-for-everything"
    summary = "A task is retried for `Exception`: for its bugs, too."
    why = (
        "A `TypeError` or a missing row is tried again as if it would pass, so that it is seen late, and what was done "
        "before it is done again each time."
    )
    fix = "Name what passes by itself: `autoretry_for=(ConnectionError, TimeoutError)`."
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task


@shared_task(autoretry_for=(Exception,), max_retries=3)
def send(pk): ...
"""
    right = wrong.replace("(Exception,)", "(ConnectionError,)")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Not where ``dont_autoretry_for`` takes something out of it."""
        for task in tree.index.tasks.values():
            said = task.option_sources.get("autoretry_for", "").strip("()[], ")
            if said in ("Exception", "BaseException") and "dont_autoretry_for" not in task.option_sources:
                yield task.place, f"{task.name} is retried for {said}: for its own bugs, too"
